"""Peano's curve."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans

from ._keys import side_level


def peano_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: three columns down, up, down at every level; a block is mirrored so that it meets the next."""
    level = side_level(height, width, base=3, name="peano")
    row = column = np.zeros(1, dtype=np.int64)
    for side in 3 ** np.arange(level):
        rows, columns = [], []
        for block_column in range(3):
            for block_row in (0, 1, 2) if block_column % 2 == 0 else (2, 1, 0):
                # A block beside an odd row or column of blocks is entered from the other side.
                rows.append(block_row * side + (side - 1 - row if block_column % 2 else row))
                columns.append(block_column * side + (side - 1 - column if block_row % 2 else column))
        row, column = np.concatenate(rows), np.concatenate(columns)
    return row * width + column


@scans.register("peano", version=1)
def peano() -> Scan:
    """Peano's curve: nine blocks, each nine blocks. Squares of side 3^k only.

    On a 3 x 3 grid: 0 3 6 7 4 1 2 5 8.

    Source: G. Peano, "Sur une courbe, qui remplit toute une aire plane", Mathematische Annalen 36 (1890).
    """
    return Scan(orders=(peano_order,))
