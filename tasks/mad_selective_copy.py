"""Selective copying of the MAD benchmark."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("mad-selective-copy", version=1)
class MadSelectiveCopy(IdTask):
    """MAD, selective copying: name the tokens that stood among blanks, in their order.

    `tokens` random tokens stand in order with blanks before them: each blank falls before one of them, all as likely,
    so no blank stands behind the last. Then come the copy token and as many blanks, and the i-th asks for the i-th
    token. Ids: data, then blank, then copy.

    length=11, tokens=3, vocabulary=6 (data 0 to 3, 4 blank, 5 copy); . has no target:
        ids       4 2 4 4 0 4 0 5 4 4 4
        target    . . . . . . . . 2 0 0

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are all ids. test_length=n draws as many
    tokens among more blanks.

    Args:
        length: tokens of a sequence, answers included.
        tokens: to be copied.
        vocabulary: ids, blank and copy included.

    Raises:
        UserError: tokens and answers do not fit.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py and configs/tasks/selective-copying.yml
    (baseline: 12,800 training sequences).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(4, 65536)] = 256,
        tokens: Annotated[int, Range(1, 16384)] = 16,
        vocabulary: Annotated[int, Range(4, 65536)] = 16,
    ):
        super().__init__("mad-selective-copy", length=length, vocabulary=vocabulary, answers=vocabulary - 2)
        if 2 * tokens + 1 >= length:
            raise self.refuse(
                f"tokens={tokens}, as many answers, the copy token and a blank must fit",
                f"length={length}",
                f"take {2 * tokens + 2} or more",
            )
        self.tokens, self.blank, self.copy = tokens, vocabulary - 2, vocabulary - 1

    def at_length(self, length: int) -> MadSelectiveCopy:
        return MadSelectiveCopy(length=length, tokens=self.tokens, vocabulary=self.vocabulary)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        data = draw.integers(0, self.blank, size=(count, self.tokens))
        blanks = self.cells - 2 * self.tokens - 1
        fell = draw.integers(0, self.tokens, size=(count, blanks))
        # A token has before it the tokens before it and the blanks that fell before it or one of those.
        places = np.arange(self.tokens) + (fell[:, None, :] <= np.arange(self.tokens)[:, None]).sum(axis=2)
        symbols = np.full((count, self.cells), self.blank)
        np.put_along_axis(symbols, places, data, axis=1)
        symbols[:, self.tokens + blanks] = self.copy
        target = np.full((count, self.cells), IGNORE_INDEX)
        target[:, -self.tokens :] = data
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        symbols = samples.symbols.astype(np.int64)
        guess = np.zeros(symbols.shape, dtype=np.int64)
        guess[:, -self.tokens :] = symbols[symbols < self.blank].reshape(len(symbols), self.tokens)
        return guess
