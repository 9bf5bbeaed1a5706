"""The Z-order curve."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans

from ._keys import cells_of, order_by


def spread_bits(values: np.ndarray) -> np.ndarray:
    """Put bit b of each value (below 2^31) at bit 2b.

    >>> spread_bits(np.array([0b1, 0b11, 0b101])).tolist()
    [1, 5, 17]
    """
    spread = np.zeros_like(values)
    for bit in range(int(values.max(initial=0)).bit_length()):
        spread |= ((values >> bit) & 1) << (2 * bit)
    return spread


def morton_order(height: int, width: int) -> np.ndarray:
    """int64 [cells]: cells sorted by the interleaved bits of row and column, the row's bit the higher of a pair."""
    row, column = cells_of(height, width)
    return order_by(2 * spread_bits(row) + spread_bits(column))


@scans.register("morton", version=1)
def morton() -> Scan:
    """Z-order: cells sorted by the interleaved bits of row and column.

    Any grid: the order of the next square of side 2^k, restricted to the cells that are there. On a 2 x 3 grid:
    0 1 3 4 2 5.

    Source: G. M. Morton, "A computer oriented geodetic data base and a new technique in file sequencing", IBM (1966).
    """
    return Scan(orders=(morton_order,))
