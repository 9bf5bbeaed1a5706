"""Hilbert's curve, on every rectangle, and Moore's closed variant of it."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import numpy as np

from harness.contracts import Scan
from harness.registry import Range, scans

from ._gilbert import walk
from ._keys import side_level


def hilbert_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: from the top-left corner along the longer side (the top one on squares)."""
    runs = walk(0, 1, width, width, height) if width >= height else walk(0, width, height, 1, width)
    return np.fromiter(chain.from_iterable(runs), dtype=np.int64, count=height * width)


def moore_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: two Hilbert curves down the left half, two up the right half, so the end meets the start."""
    if side_level(height, width, base=2, name="moore") == 0:
        return np.zeros(1, dtype=np.int64)
    half = width // 2
    up, down, left, right = -width, width, -1, 1
    starts = [(0, half - 1, down, left), (half, half - 1, down, left)]
    starts += [(height - 1, half, up, right), (half - 1, half, up, right)]
    runs = [walk(row * width + column, along, half, across, half) for row, column, along, across in starts]
    return np.fromiter(chain.from_iterable(chain(*runs)), dtype=np.int64, count=height * width)


def shifted_order(height: int, width: int, shift: int) -> np.ndarray:
    """int64 [cells]: the curve of a grid with `shift` more rows above and columns to the left, without those."""
    row, column = np.divmod(hilbert_order(height + shift, width + shift), width + shift)
    inside = (row >= shift) & (column >= shift)
    return (row[inside] - shift) * width + column[inside] - shift


@scans.register("hilbert", version=1)
def hilbert() -> Scan:
    """Hilbert's curve; its generalization on rectangles that are no square of side 2^k.

    Every step goes to one of the eight cells around, on any grid: at most one step is diagonal, and only where the
    longer side is odd and the shorter one even. Cutting the next square of side 2^k down to the grid would leave
    jumps. On a 2 x 3 grid: 0 3 4 5 2 1.

    Source: D. Hilbert, Mathematische Annalen 38 (1891); J. Cerveny, github.com/jakubcerveny/gilbert (2018).
    """
    return Scan(orders=(hilbert_order,))


@scans.register("hilbert-shifted", version=1)
def hilbert_shifted(shift: Annotated[int, Range(1, 4096)] = 1) -> Scan:
    """Hilbert's curve moved by some cells: neighbours that the curve parts elsewhere stay together.

    It is the curve of a grid with `shift` more rows above and columns to the left, restricted to the grid. Where the
    curve leaves the grid it comes back a few cells on; a cyclic shift would jump from side to side. The construction
    is ours. On a 2 x 3 grid: 0 3 4 5 2 1.

    Args:
        shift: rows and columns.
    """
    return Scan(orders=(lambda height, width: shifted_order(height, width, shift),))


@scans.register("moore", version=1)
def moore() -> Scan:
    """The closed Hilbert curve: its last cell is next to its first. Squares of side 2^k only.

    Source: E. H. Moore, "On certain crinkly curves", Transactions of the AMS 1 (1900).
    """
    return Scan(orders=(moore_order,))
