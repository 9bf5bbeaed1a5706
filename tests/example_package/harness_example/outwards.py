"""From the middle outwards."""

import numpy as np

from harness.contracts import Scan
from harness.registry import scans


@scans.register("outwards", version=1)
def outwards() -> Scan:
    """Cells by their distance from the middle, nearest first."""

    def order(height: int, width: int) -> np.ndarray:
        row, column = np.divmod(np.arange(height * width), width)
        distance = (row - (height - 1) / 2) ** 2 + (column - (width - 1) / 2) ** 2
        return np.argsort(distance, kind="stable")

    return Scan(orders=(order,))
