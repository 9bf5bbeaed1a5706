"""The anti-diagonals row + column = s, from the top-left corner to the bottom-right one."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans

from ._keys import cells_of, order_by


def diagonal_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: every anti-diagonal from its top-right to its bottom-left end."""
    row, column = cells_of(height, width)
    return order_by(row + column, row)


def zigzag_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: anti-diagonals, the odd ones downwards and the even ones upwards."""
    row, column = cells_of(height, width)
    downwards = (row + column) % 2 == 1
    return order_by(row + column, np.where(downwards, row, -row))


@scans.register("diagonal", version=1)
def diagonal() -> Scan:
    """Anti-diagonals, each from top right to bottom left.

    On a 2 x 3 grid: 0 1 3 2 4 5.
    """
    return Scan(orders=(diagonal_order,))


@scans.register("zigzag", version=1)
def zigzag() -> Scan:
    """Anti-diagonals with alternating direction (JPEG).

    On a 2 x 3 grid: 0 1 3 4 2 5.

    Source: ITU-T T.81 (JPEG, 1992), figure 5.
    """
    return Scan(orders=(zigzag_order,))
