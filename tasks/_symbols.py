"""What tasks made of symbols share: layouts drawn in chunks, one look of a symbol for all runs, answers at cells."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from harness.contracts import UNASKED, Batch, Samples, Split, Task
from harness.seeds import generator, seed_of

CHUNK = 1024
"""Layouts are drawn this many at a time, each chunk from a generator of its own: a larger data set begins with the
smaller one of the same seed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SymbolSamples(Samples):
    """Sequences of symbols without noise: a symbol is its vector.

    target: int64 [count, cells]. symbols: unsigned integers [count, cells]. vectors: float32 [vocabulary, features].
    """

    target: np.ndarray
    symbols: np.ndarray
    vectors: np.ndarray

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(tokens=self.vectors[self.symbols[indices]], target=self.target[indices])


class SymbolTask(Task):
    """A task on sequences of symbols that asks for a class at some cells. vectors: [vocabulary, features]."""

    asks_cells = True
    vectors: np.ndarray

    @abstractmethod
    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw so many sequences: symbols [count, cells], and the classes asked for, UNASKED elsewhere."""

    def sample(self, split: Split, count: int, seed: int) -> SymbolSamples:
        symbols = np.empty((count, self.cells), dtype=np.uint16)
        target = np.full((count, self.cells), UNASKED, dtype=np.int64)
        for chunk, start in enumerate(range(0, count, CHUNK)):
            draw = generator(seed_of(part="layout", split=split, seed=seed, chunk=chunk))
            stop = min(start + CHUNK, count)
            # The whole chunk is drawn even where less is needed: sample i must not depend on count.
            drawn, asked = self.layout(CHUNK, draw)
            symbols[start:stop], target[start:stop] = drawn[: stop - start], asked[: stop - start]
        return SymbolSamples(target=target, symbols=symbols, vectors=self.vectors)


def symbol_vectors(vocabulary: int, dim: int) -> np.ndarray:
    """What symbols look like, float32 [vocabulary, dim], of length 1 and the same in every run.

    The standard basis where it has enough vectors, otherwise directions drawn once for all, nearly orthogonal.
    """
    if vocabulary <= dim:
        return np.eye(vocabulary, dim, dtype=np.float32)
    drawn = generator(seed_of(part="symbols", vocabulary=vocabulary, dim=dim)).standard_normal((vocabulary, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def some_of_each(supply: int, needed: int, count: int, draw: np.random.Generator) -> np.ndarray:
    """Different numbers below `supply` in random order, [count, needed]."""
    return draw.permuted(np.tile(np.arange(supply), (count, 1)), axis=1)[:, :needed]
