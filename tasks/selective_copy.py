"""Selective copying: what stood among the noise, in order."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples
from harness.contracts.errors import UserError
from harness.registry import Added, Range, tasks

from ._symbols import SymbolSamples, SymbolTask, some_of_each, symbol_vectors

NOISE = 0
FIRST_DATA = 1


@tasks.register("selective-copy", version=1)
class SelectiveCopy(SymbolTask):
    """Selective copying: name the tokens that stood among noise, in their order.

    `tokens` data symbols, drawn with replacement, stand at random places among noise, one and the same symbol; then
    come as many answer cells, all with the same marker, and the i-th asks for the i-th data symbol. Distances between
    data symbols vary, so a filter that looks at fixed distances cannot answer.

    length=9, tokens=3, vocabulary=6 (0 noise, 5 marker, data 1 to 4, whose classes are 0 to 3); . has no target:
        symbols   0 3 0 1 1 0 5 5 5
        target    . . . . . . 2 0 0

    Symbols look the same in every run: basis vectors where dim allows, else fixed random vectors of length 1. Tokens
    are float32 [batch, length, dim] on a 1 x length grid, targets [batch, length]. With embedding=trained they are ids
    [batch, length, 1] that the model embeds itself, and the classes are the whole vocabulary, as published.

    Args:
        length: cells of a sequence, answers included.
        tokens: data symbols, and answers.
        vocabulary: symbols, noise and marker included.
        dim: features of a token; of vectors only.
        embedding: fixed vectors, or ids whose embedding is trained.

    Raises:
        UserError: data symbols and answers do not fit.

    Source: Gu and Dao, arXiv 2312.00752, section 4.1.1, after the copying task of Arjovsky et al., arXiv 1511.06464;
    vocabulary=16 as there. Ours: with embedding=fixed classes are the data symbols only and vectors are fixed, and
    sizes are smaller (theirs: 16 data symbols in sequences of 4096; whether answers count in that is not said, and the
    generator was not released).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(2, 65536)] = 64,
        tokens: Annotated[int, Range(1, 16384)] = 8,
        vocabulary: Annotated[int, Range(4, 65536)] = 16,
        dim: Annotated[int, Range(2, 4096)] = 16,
        embedding: Annotated[Literal["fixed", "trained"], Added()] = "fixed",
    ):
        if 2 * tokens > length:
            raise UserError(
                f"task selective-copy: tokens={tokens} and as many answers must fit, got length={length}; take"
                f" length={2 * tokens} or more"
            )
        self.grid = (1, length)
        self.chance = 1 / (vocabulary - 2)
        self.tokens, self.data_symbols = tokens, vocabulary - 2
        self.marker = vocabulary - 1
        if embedding == "trained":
            self.features, self.vocabulary, self.classes, self.balanced = 1, vocabulary, vocabulary, False
        else:
            self.features, self.classes = dim, vocabulary - 2
            self.vectors = symbol_vectors(vocabulary, dim)
        self.first_class = FIRST_DATA if embedding == "trained" else 0
        self.parameters = {"vocabulary": vocabulary, "dim": dim, "embedding": embedding}

    def at_length(self, length: int) -> SelectiveCopy:
        """As many data symbols among more noise."""
        return SelectiveCopy(length=length, tokens=self.tokens, **self.parameters)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        data = draw.integers(0, self.data_symbols, size=(count, self.tokens))
        before = self.cells - self.tokens
        places = np.sort(some_of_each(before, self.tokens, count, draw), axis=1)
        symbols = np.full((count, self.cells), NOISE)
        np.put_along_axis(symbols, places, FIRST_DATA + data, axis=1)
        symbols[:, before:] = self.marker
        target = np.full((count, self.cells), IGNORE_INDEX)
        target[:, before:] = data + self.first_class
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        before = samples.symbols[:, : -self.tokens].astype(np.int64)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        guess[:, -self.tokens :] = (
            before[before != NOISE].reshape(len(before), self.tokens) - FIRST_DATA + self.first_class
        )
        return guess
