"""In-context recall of the MAD benchmark."""

from __future__ import annotations

from typing import Annotated

from harness.registry import Range, tasks

from ._mad import InContextRecall


@tasks.register("mad-in-context-recall", version=1)
class MadInContextRecall(InContextRecall):
    """MAD, in-context recall: give the value of a key that came before.

    A sequence is pairs of a key and its value, both drawn at random; a key that comes again has the value it had. Ids:
    keys are the lower half, values the upper.

    length=8, vocabulary=6 (keys 0 to 2, values 3 to 5); . has no target:
        ids       0 4 2 3 2 3 0
        target    . . . . 3 . 4        in training the next token everywhere

    Tokens are int64 [batch, length - 1, 1], targets [batch, length - 1]. Classes are all ids. test_length=n draws
    sequences of n tokens.

    Args:
        length: tokens of a sequence, the last value included, which is no input.
        vocabulary: ids.

    Raises:
        UserError: an odd length.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py and
    configs/tasks/in-context-recall.yml (baseline: 12,800 training sequences).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(4, 65536)] = 128,
        vocabulary: Annotated[int, Range(4, 65536)] = 16,
    ):
        super().__init__("mad-in-context-recall", length=length, vocabulary=vocabulary, noise_vocabulary=0, noise=0.0)

    def at_length(self, length: int) -> MadInContextRecall:
        return MadInContextRecall(length=length, vocabulary=self.vocabulary)
