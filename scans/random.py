"""The control: an order that knows nothing of the grid."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import Scan
from harness.registry import Range, scans


def random_order(height: int, width: int, seed: int) -> np.ndarray:
    """int64 [cells]: a permutation that depends on seed, height and width alone."""
    stream = np.random.Philox(key=np.array([seed, (height << 32) | width], dtype=np.uint64))
    # Sorting raw words, not Generator.permutation: numpy promises the words for ever, and the shuffle not.
    return np.argsort(stream.random_raw(height * width), kind="stable")


@scans.register("random", version=1)
def random(seed: Annotated[int, Range(0)] = 0) -> Scan:
    """One fixed random permutation: the control for every other order.

    Neighbours are (cells + 1) / 3 steps apart on average. Every sample, step and model seed sees the same one; other
    permutations need another `seed`.

    Args:
        seed: which permutation.
    """
    return Scan(orders=(lambda height, width: random_order(height, width, seed),))
