"""Orders that are a sort: every cell gets a key, and the route visits the cells by rising key."""

from __future__ import annotations

import numpy as np


def cells_of(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every cell, each int64 [cells], in row-major order."""
    return np.divmod(np.arange(height * width, dtype=np.int64), width)


def order_by(*keys: np.ndarray) -> np.ndarray:
    """The route int64 [cells] that sorts by the first key, then the second, ...; ties stay row-major.

    >>> order_by(np.array([1, 0, 1, 0]))
    array([1, 3, 0, 2])
    """
    return np.lexsort(keys[::-1])
