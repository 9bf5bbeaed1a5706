"""Rows, every odd one reversed; zigzag, continuous or plain "scan" in other places."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans


def snake_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: rows, every odd one walked from right to left."""
    grid = np.arange(height * width, dtype=np.int64).reshape(height, width)
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.ravel()


@scans.register("snake", version=1)
def snake() -> Scan:
    """Rows, every odd one reversed: no step longer than one cell.

    On a 2 x 3 grid: 0 1 2 5 4 3.
    """
    return Scan(orders=(snake_order,))
