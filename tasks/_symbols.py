"""What tasks made of symbols share: layouts drawn in chunks, and how a symbol looks, a fixed vector or its id alone."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.errors import UserError
from harness.contracts.seeds import generator, seed_of

from ._chunks import CHUNK

Layout: TypeAlias = tuple[np.ndarray, ...]
"""symbols [count, cells]; targets [count, cells], or [count], one answer a sequence; and of sequences of many lengths
their steps [count], behind which is padding."""

KEPT_CELLS = 2**26
"""A set of no more cells is kept once drawn; of a larger one as many chunks as hold so many, the others drawn again."""


class SymbolSamples(Samples):
    """Sequences of symbols without noise, drawn a chunk at a time when they are asked for.

    target: int64 [count, cells] or [count]. symbols: unsigned integers [count, cells]. Both draw the whole set.
    steps: int64 [count], real cells of each sequence, or None where all are.

    Args:
        drawn: chunk number -> its layout of `size` sequences. count: sequences. cells: of a sequence.
        vectors: float32 [vocabulary, features], or None where the tokens are ids.
    """

    def __init__(
        self, drawn: Callable[[int], Layout], count: int, *, cells: int, size: int, vectors: np.ndarray | None
    ):
        self.vectors, self.streamed = vectors, vectors is None
        self._drawn, self._count, self._size = drawn, count, size
        self._chunks: dict[int, Layout] = {}
        self._room = max(1, KEPT_CELLS // (size * cells))

    def __len__(self) -> int:
        return self._count

    def _chunk(self, number: int) -> Layout:
        if number not in self._chunks:
            if len(self._chunks) >= self._room:
                del self._chunks[next(iter(self._chunks))]
            symbols, target, *steps = self._drawn(number)
            self._chunks[number] = (symbols.astype(np.uint16), target.astype(np.int32), *steps)
        return self._chunks[number]

    def _at(self, indices: np.ndarray) -> Layout:
        numbers, rows = np.divmod(indices, self._size)
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        groups = zip(found.tolist(), np.split(order, starts[1:]), strict=True)
        pieces = [tuple(part[rows[group]] for part in self._chunk(number)) for number, group in groups]
        back = np.argsort(order, kind="stable")
        return tuple(np.concatenate(parts)[back] for parts in zip(*pieces, strict=True))

    @functools.cached_property
    def _whole(self) -> Layout:
        return self._at(np.arange(self._count))

    @property
    def symbols(self) -> np.ndarray:
        return self._whole[0]

    @property
    def steps(self) -> np.ndarray | None:
        return self._whole[2] if len(self._whole) > 2 else None

    @functools.cached_property
    def target(self) -> np.ndarray:  # type: ignore[override]
        return self._whole[1].astype(np.int64)

    def batch(self, indices: np.ndarray) -> Batch:
        symbols, target, *steps = self._at(indices)
        tokens = symbols[..., None].astype(np.int64) if self.vectors is None else self.vectors[symbols]
        mask = np.arange(symbols.shape[1]) < steps[0][:, None] if steps else None
        return Batch(tokens=tokens, target=target.astype(np.int64), mask=mask)


class SymbolTask(Task):
    """A task on sequences of symbols with per-token targets.

    vectors: [vocabulary, features]; None where the tokens are ids. chunk: sequences that are drawn together.
    """

    per_token_targets = True
    vectors: np.ndarray | None = None
    chunk: ClassVar[int] = CHUNK

    @abstractmethod
    def layout(self, count: int, draw: np.random.Generator) -> Layout:
        """Draw so many sequences: symbols [count, cells], and their targets, IGNORE_INDEX where there is none."""

    def layout_of(self, split: Split, count: int, draw: np.random.Generator) -> Layout:
        """The same, where a split is drawn in its own way."""
        return self.layout(count, draw)

    def sample(self, split: Split, count: int, seed: int) -> SymbolSamples:
        def drawn(number: int) -> Layout:
            return self.layout_of(
                split, self.chunk, generator(seed_of(part="layout", split=split, seed=seed, chunk=number))
            )

        return SymbolSamples(drawn, count, cells=self.cells, size=self.chunk, vectors=self.vectors)


class IdTask(SymbolTask):
    """A task whose tokens are ids, and whose classes are its whole vocabulary; answers need not be balanced.

    Args:
        name: of the entry, for errors. length: cells of a sequence. vocabulary: ids, and classes.
        answers: how many of the ids are answers, all as likely.
    """

    features = 1
    balanced = False

    def __init__(self, name: str, *, length: int, vocabulary: int, answers: int):
        self.subject = f"task {name}"
        self.grid = (1, length)
        self.vocabulary = self.classes = vocabulary
        self.chance = 1 / answers

    def refuse(self, rule: str, got: str, cure: str) -> UserError:
        """The error to raise where parameters do not go together."""
        return UserError(f"{self.subject}: {rule}, got {got}; {cure}")


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


def few_of_each(supply: int, needed: int, count: int, draw: np.random.Generator) -> np.ndarray:
    """The same where `needed` is small beside `supply`: work grows with `needed` squared, not with `supply`.

    Source: Floyd's algorithm F2 (Bentley, Programming Pearls, CACM 30(9), 1987), then shuffled.
    """
    chosen = np.empty((count, needed), dtype=np.int64)
    for number in range(needed):
        last = supply - needed + number
        drawn = draw.integers(0, last + 1, size=count)
        taken = (chosen[:, :number] == drawn[:, None]).any(axis=1)
        chosen[:, number] = np.where(taken, last, drawn)
    return draw.permuted(chosen, axis=1)
