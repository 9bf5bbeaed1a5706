"""Rows of windows, rows inside each."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import Scan
from harness.registry import Range, scans

from ._keys import cells_of, order_by


def window_order(height: int, width: int, size: int) -> np.ndarray:
    """int64 [cells]: windows of size x size row by row, and row by row inside each."""
    row, column = cells_of(height, width)
    return order_by(row // size, column // size, row, column)


@scans.register("window", version=1)
def window(size: Annotated[int, Range(1, 65536)] = 2) -> Scan:
    """Windows row by row, and row by row inside each.

    Where `size` does not divide a side, the last windows are narrower: nothing is padded, no cell added or lost. On a
    2 x 3 grid with size=2: 0 1 3 4 2 5.

    Args:
        size: side of a window in cells; LocalMamba takes 2 and 7.

    Source: T. Huang et al., "LocalMamba: Visual state space model with windowed selective scan", arXiv 2403.09338.
    """
    return Scan(orders=(lambda height, width: window_order(height, width, size),))
