"""Parity: tell whether the number of ones is odd."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._sized import SHORTEST, SizedTask
from ._symbols import SymbolSamples


@tasks.register("parity", version=1)
class Parity(SizedTask):
    """Parity: the sum of the digits, modulo their number.

    A sequence of n tokens, n uniform between `shortest` and `length`, is n - 1 random digits and their sum modulo
    `digits` (two digits: parity). The sum is no input but the target at the last digit. Ids: 0 padding, then digits.

    length=6, digits=2 (id 1 is the digit 0, id 2 the digit 1); a sequence of 5 tokens, . has no target:
        ids       2 1 2 2 0
        target    . . . 2 .        three ones: odd, the digit 1

    Tokens are int64 [batch, length - 1, 1], targets [batch, length - 1], masks False on padding. Classes are all ids.
    test_length=n draws sequences of `length` to n tokens where n is longer.

    Args:
        length: tokens of the longest sequence, answer included.
        shortest: of the shortest.
        digits: how many there are.

    Raises:
        UserError: the shortest is longer than the longest.

    Source: the formal language `parity` of NX-AI's xlstm as used by Grazzi et al., arXiv 2411.12537
    (automl/unlocking_state_tracking, xlstm/experiments/data/formal_language/tasks/parity.py; lengths from its
    parity_mamba.yaml: 3 to 40, tests 40 to 256). Their validation draws test lengths; ours draws training lengths.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(SHORTEST, 65536)] = 40,
        shortest: Annotated[int, Range(SHORTEST, 65536)] = SHORTEST,
        digits: Annotated[int, Range(2, 1024)] = 2,
    ):
        super().__init__("parity", length=length - 1, vocabulary=digits + 1, answers=digits)
        self.sizes(shortest, length)
        self.digits = digits

    def at_length(self, length: int) -> Parity:
        return Parity(digits=self.digits, **self.sizes_at(length))

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        steps = draw.integers(self.shortest, self.longest_size + 1, size=count) - 1
        values = draw.integers(0, self.digits, size=(count, self.cells))
        real = np.arange(self.cells) < steps[:, None]
        sums = (values * real).sum(axis=1) % self.digits
        return np.where(real, values + 1, 0), self.answered(steps, sums + 1), steps

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        symbols = samples.symbols.astype(np.int64)
        return self.at_the_last_step(samples, (symbols - (symbols > 0)).sum(axis=1) % self.digits + 1)
