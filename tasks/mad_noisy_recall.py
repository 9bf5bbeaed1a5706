"""Noisy in-context recall of the MAD benchmark."""

from __future__ import annotations

from typing import Annotated

from harness.registry import Range, tasks

from ._mad import InContextRecall


@tasks.register("mad-noisy-recall", version=1)
class MadNoisyRecall(InContextRecall):
    """MAD, noisy in-context recall: the same with noise among the pairs.

    As mad-in-context-recall, but with probability `noise` a pair is two tokens of noise, drawn from ids of their own,
    the last ones; at least one pair of each sequence is none.

    length=8, vocabulary=8, noise_vocabulary=2 (keys 0 to 2, values 3 to 5, noise 6 and 7); . has no target:
        ids       0 4 7 6 2 3 0
        target    . . . . . . 4        in training the next token everywhere

    Tokens are int64 [batch, length - 1, 1], targets [batch, length - 1]. Classes are all ids. test_length=n draws
    sequences of n tokens.

    Args:
        length: tokens of a sequence, the last value included, which is no input.
        vocabulary: ids, noise included.
        noise_vocabulary: ids of noise.
        noise: share of noise.

    Raises:
        UserError: an odd length, no ids left for keys.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py and
    configs/tasks/noisy-in-context-recall.yml (baseline: 12,800 training sequences).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(4, 65536)] = 128,
        vocabulary: Annotated[int, Range(5, 65536)] = 32,
        noise_vocabulary: Annotated[int, Range(1, 65000)] = 16,
        noise: Annotated[float, Range(0, 1)] = 0.2,
    ):
        super().__init__(
            "mad-noisy-recall", length=length, vocabulary=vocabulary, noise_vocabulary=noise_vocabulary, noise=noise
        )

    def at_length(self, length: int) -> MadNoisyRecall:
        return MadNoisyRecall(
            length=length, vocabulary=self.vocabulary, noise_vocabulary=self.noise_vocabulary, noise=self.noise
        )
