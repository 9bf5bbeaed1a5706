"""Orders that are a sort by keys of the cells, and which squares a curve that divides by 2 or 3 at every level fits."""

from __future__ import annotations

import numpy as np

from harness.contracts.errors import Unsupported


def cells_of(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every cell, each int64 [cells], in row-major order."""
    return np.divmod(np.arange(height * width, dtype=np.int64), width)


def order_by(*keys: np.ndarray) -> np.ndarray:
    """The route int64 [cells] that sorts by the first key, then the second, ...; ties stay row-major.

    >>> order_by(np.array([1, 0, 1, 0]))
    array([1, 3, 0, 2])
    """
    return np.lexsort(keys[::-1])


def side_level(height: int, width: int, *, base: int, name: str) -> int:
    """The k for which the grid is base^k x base^k.

    Raises:
        Unsupported: the grid is no such square; the cure names the nearest ones and an order that fits any grid.
    """
    below = 0
    while base ** (below + 1) <= max(height, width):
        below += 1
    if height == width == base**below:
        return below
    squares = " or ".join(f"{side}x{side}" for side in (base ** max(below, 1), base ** (max(below, 1) + 1)))
    raise Unsupported(
        f"scan {name} fits squares of side {base}^k only, and the grid is {height}x{width}",
        f"take a grid of {squares}, or the scan hilbert, which fits every grid",
    )
