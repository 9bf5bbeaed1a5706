"""Multi-query associative recall: which value stood behind a key."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples
from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._symbols import SymbolSamples, SymbolTask, some_of_each, symbol_vectors


@tasks.register("associative-recall", version=1)
class AssociativeRecall(SymbolTask):
    """Associative recall (MQAR): give the value of every key that comes again.

    A sequence opens with `pairs` keys, each followed by its value; keys differ from each other, and so do values. Then
    every key comes once more, at an even distance 2 (g - 1) behind the pairs, with g drawn with probability
    proportional to g^(alpha - 1) and no place taken twice: near places are the likelier ones. There its value is the
    target. Random symbols, keys and values among them, fill the rest, which has no target.

    length=8, pairs=2, vocabulary=8 (keys 0 to 3, values 4 to 7, whose classes are 0 to 3); . has no target:
        symbols   2 5 1 7 1 6 2 0
        target    . . . . 3 . 1 .

    Symbols look the same in every run: basis vectors where dim allows, else fixed random vectors of length 1. Tokens
    are float32 [batch, length, dim] on a 1 x length grid, targets [batch, length].

    Args:
        length: cells of a sequence; at least four a pair.
        pairs: keys, and questions.
        vocabulary: keys and values, half of each; even.
        alpha: exponent of the power law of places; 1 is uniform.
        dim: features of a token.

    Raises:
        UserError: the pairs do not fit, or the symbols do not suffice.

    Source: Arora et al. (Zoology), arXiv 2312.04927, multi-query associative recall, laid out as the authors' generator
    does, random symbols between the questions included. Ours: classes are the values rather than the whole vocabulary,
    no symbol is set aside for blanks, vectors are fixed, alpha is .1 (their code's default is .01), and sizes are
    smaller (theirs: 8192 symbols).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(4, 65536)] = 64,
        pairs: Annotated[int, Range(1, 16384)] = 8,
        vocabulary: Annotated[int, Range(2, 65536)] = 256,
        alpha: Annotated[float, Range(0, 10)] = 0.1,
        dim: Annotated[int, Range(2, 4096)] = 64,
    ):
        subject = "task associative-recall"
        if vocabulary % 2:
            raise UserError(
                f"{subject}: half of the vocabulary are keys, got vocabulary={vocabulary}; give an even number"
            )
        if 4 * pairs > length:
            raise UserError(
                f"{subject}: pairs={pairs} need four cells each, got length={length}; take length={4 * pairs} or more"
            )
        if 2 * pairs > vocabulary:
            raise UserError(
                f"{subject}: pairs={pairs} need as many keys and as many values, got vocabulary={vocabulary}; take"
                f" vocabulary={2 * pairs} or more"
            )
        self.grid = (1, length)
        self.features = dim
        self.classes = vocabulary // 2
        self.chance = 1 / self.classes
        self.pairs = pairs
        self.vectors = symbol_vectors(vocabulary, dim)
        places = np.arange(1, (length - 2 * pairs) // 2 + 1)
        self.log_weights = (alpha - 1) * np.log(places)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        context = 2 * self.pairs
        keys = some_of_each(self.classes, self.pairs, count, draw)
        values = some_of_each(self.classes, self.pairs, count, draw)
        # The largest of Gumbel-perturbed weights, in falling order, are draws one after the other without replacement.
        perturbed = self.log_weights + draw.gumbel(size=(count, len(self.log_weights)))
        places = context + 2 * np.argsort(-perturbed, axis=1)[:, : self.pairs]
        symbols = draw.integers(0, 2 * self.classes, size=(count, self.cells))
        symbols[:, 0:context:2], symbols[:, 1:context:2] = keys, self.classes + values
        np.put_along_axis(symbols, places, keys, axis=1)
        target = np.full((count, self.cells), IGNORE_INDEX)
        np.put_along_axis(target, places, values, axis=1)
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        symbols = samples.symbols.astype(np.int64)
        keys, values = symbols[:, 0 : 2 * self.pairs : 2], symbols[:, 1 : 2 * self.pairs : 2]
        which = np.stack([(row[:, None] == own).argmax(1) for row, own in zip(symbols, keys, strict=True)])
        return np.take_along_axis(values, which, axis=1) - self.classes
