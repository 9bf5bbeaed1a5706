"""Memorization of the MAD benchmark."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples
from harness.contracts.seeds import generator, seed_of
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("mad-memorize", version=1)
class MadMemorize(IdTask):
    """MAD, memorization: give a key's value, which no sequence shows.

    A sequence is random keys, each followed by the insert token, where the key's value is the target. Which value a key
    has is the same in every sequence, split and run, so it has to be learned. Ids: keys, values, and last the insert
    token; no two keys share a value.

    length=6, vocabulary=8 (keys 0 to 2, values 3 to 6, 7 insert); . has no target:
        ids       1 7 0 7 1 7
        target    . 5 . 3 . 5

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are all ids. test_length=n draws sequences of
    n tokens.

    Args:
        length: tokens of a sequence.
        vocabulary: ids.

    Raises:
        UserError: an odd length.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py and configs/tasks/memorization.yml
    (baseline: 256 training sequences). Ours: another draw of the values.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(2, 65536)] = 32,
        vocabulary: Annotated[int, Range(5, 65536)] = 256,
    ):
        keys = (vocabulary - 1) // 2
        super().__init__("mad-memorize", length=length, vocabulary=vocabulary, answers=keys)
        if length % 2:
            raise self.refuse("a sequence is pairs", f"length={length}", "give an even number")
        self.insert = vocabulary - 1
        draw = generator(seed_of(part="memorized values", vocabulary=vocabulary))
        self.value_of = keys + draw.permutation(self.insert - keys)[:keys]

    def at_length(self, length: int) -> MadMemorize:
        return MadMemorize(length=length, vocabulary=self.vocabulary)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        symbols = np.full((count, self.cells), self.insert)
        target = np.full((count, self.cells), IGNORE_INDEX)
        keys = draw.integers(0, len(self.value_of), size=(count, self.cells // 2))
        symbols[:, ::2], target[:, 1::2] = keys, self.value_of[keys]
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        return self.value_of[np.roll(samples.symbols.astype(np.int64), 1, axis=1) % len(self.value_of)]
