"""Samples drawn some at a time, each chunk from a generator of its own: a larger draw begins with the smaller one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.contracts import Split
from harness.contracts.seeds import generator, seed_of

CHUNK = 1024
"""Samples of a chunk, where nothing else is said."""


def in_chunks(
    drawn: Callable[[np.random.Generator], tuple[np.ndarray, ...]],
    count: int,
    *,
    part: str,
    split: Split,
    seed: int,
    size: int = CHUNK,
) -> tuple[np.ndarray, ...]:
    """The first `count` of what `drawn` gives, `size` samples a call: arrays [count, ...].

    A whole chunk is drawn even where less is needed: sample i must not depend on count.
    """
    seeds = (seed_of(part=part, split=split, seed=seed, chunk=chunk) for chunk in range(-(-count // size)))
    return tuple(np.concatenate(pieces)[:count] for pieces in zip(*map(drawn, map(generator, seeds)), strict=True))
