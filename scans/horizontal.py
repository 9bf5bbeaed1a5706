"""Row by row: the order in which images are stored."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans


def rows(height: int, width: int) -> np.ndarray:
    """int64 [cells]: row by row, each from left to right."""
    return np.arange(height * width, dtype=np.int64)


@scans.register("horizontal", version=1)
def horizontal() -> Scan:
    """Row by row, each from left to right (raster).

    On a 2 x 3 grid: 0 1 2 3 4 5.
    """
    return Scan(orders=(rows,))
