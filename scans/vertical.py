"""Column by column."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans


def columns(height: int, width: int) -> np.ndarray:
    """int64 [cells]: column by column, each from top to bottom."""
    return np.arange(height * width, dtype=np.int64).reshape(height, width).T.ravel()


@scans.register("vertical", version=1)
def vertical() -> Scan:
    """Column by column, each from top to bottom.

    On a 2 x 3 grid: 0 3 1 4 2 5.
    """
    return Scan(orders=(columns,))
