"""What tasks of expressions share: sequences of many lengths, one answer at the end of each, tests on longer ones."""

from __future__ import annotations

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples

from ._symbols import IdTask, SymbolSamples

SHORTEST = 3
"""Tokens of the shortest published sequence, its answer included."""


class SizedTask(IdTask):
    """Sequences of `shortest` to `longest_size` tokens, the answer included: the target at the token before it.

    Published as next-token prediction on the answer alone: the answer itself is no input, so a sequence of n tokens has
    n - 1 cells at most, and padding behind them.
    """

    def sizes(self, shortest: int, length: int) -> None:
        """Take the lengths in tokens, checked.

        Raises:
            UserError: they are in the wrong order.
        """
        if shortest > length:
            raise self.refuse(
                f"shortest={shortest} tokens cannot be more than length", f"length={length}", f"take {shortest} or more"
            )
        self.shortest, self.longest_size = shortest, length

    def sizes_at(self, length: int) -> dict[str, int]:
        """Shortest and longest of a test set at a length: beyond training's, from its longest on, as published."""
        if length > self.longest_size:
            return {"shortest": self.longest_size, "length": length}
        return {"shortest": min(self.shortest, length), "length": length}

    def answered(self, steps: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Targets [count, cells]: the answer at the last real cell of each sequence."""
        target = np.full((len(steps), self.cells), IGNORE_INDEX)
        target[np.arange(len(steps)), steps - 1] = answers
        return target

    def at_the_last_step(self, samples: Samples, answers: np.ndarray) -> np.ndarray:
        """Guesses as `samples.target`, of which only the last real cell of each sequence is looked at."""
        assert isinstance(samples, SymbolSamples) and samples.steps is not None
        return self.answered(samples.steps, answers)
