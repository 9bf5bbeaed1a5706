"""Which squares a curve that divides by 2 or 3 at every level fits, and the error for every other grid."""

from __future__ import annotations

from harness.errors import Unsupported


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
