"""What tasks made of symbols share: layouts drawn in chunks, one look of a symbol for all runs, per-token targets."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.seeds import generator, seed_of

from ._chunks import CHUNK, in_chunks


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
    """A task on sequences of symbols with per-token targets. vectors: [vocabulary, features]."""

    per_token_targets = True
    vectors: np.ndarray

    @abstractmethod
    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw so many sequences: symbols [count, cells], and their targets, IGNORE_INDEX where there is none."""

    def sample(self, split: Split, count: int, seed: int) -> SymbolSamples:
        def chunk(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            symbols, target = self.layout(CHUNK, draw)
            return symbols.astype(np.uint16), target

        symbols, target = in_chunks(chunk, count, part="layout", split=split, seed=seed)
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
