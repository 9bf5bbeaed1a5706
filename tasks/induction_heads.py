"""Induction heads: name what followed the marked token."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("induction-heads", version=1)
class InductionHeads(IdTask):
    """Induction heads: name the token that followed the special one.

    A sequence is random tokens; the special token stands at one random place among them and again at the end, where the
    token that followed it is the target. Ids: vocabulary - 1 is the special token.

    length=8, vocabulary=5 (4 is special); . has no target:
        ids       0 3 4 1 1 0 2 4
        target    . . . . . . . 1

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are all ids.
    test_length=n draws sequences of n tokens.

    Args:
        length: tokens of a sequence, both special ones included.
        vocabulary: ids, the special one included.

    Source: Gu and Dao, arXiv 2312.00752, sections 4.1.2 and E.1: vocabulary 16, trained at length 256, tested at 2^6 to
    2^20. The generator was not released, and whether the special token is one of the 16 is not said; here it is. A
    rewrite by others (hrbigelow/mamba-recall, data.py) takes 16 tokens and the special one, at a fixed place.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(3, 2**20)] = 256,
        vocabulary: Annotated[int, Range(3, 65536)] = 16,
    ):
        super().__init__("induction-heads", length=length, vocabulary=vocabulary, answers=vocabulary - 1)
        self.special = vocabulary - 1

    def at_length(self, length: int) -> InductionHeads:
        if length < 3:
            raise self.refuse("a sequence has three tokens or more", f"test_length={length}", "take a longer one")
        return InductionHeads(length=length, vocabulary=self.vocabulary)

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """Fewer of the long ones, which are drawn to be read once."""
        return max(1, min(1024, 2**20 // self.cells))

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        symbols = draw.integers(0, self.special, size=(count, self.cells), dtype=np.uint16)
        rows, places = np.arange(count), draw.integers(0, self.cells - 2, size=count)
        symbols[rows, places] = symbols[:, -1] = self.special
        target = np.full((count, self.cells), IGNORE_INDEX, dtype=np.int32)
        target[:, -1] = symbols[rows, places + 1]
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        first = (samples.symbols == self.special).argmax(axis=1)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        guess[:, -1] = samples.symbols[np.arange(len(first)), first + 1]
        return guess
