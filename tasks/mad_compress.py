"""Compression of the MAD benchmark."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("mad-compress", version=1)
class MadCompress(IdTask):
    """MAD, compression: give the whole sequence back from the final step alone.

    A sequence is random tokens and last the compression token; every token, that one included, is the target at its own
    cell. The model reads the final step of each route only: to it a sinusoidal encoding of the cell is added, and a
    decoder of two layers names the token there.

    length=6, vocabulary=5 (4 compresses):
        ids       0 3 3 1 2 4
        target    0 3 3 1 2 4

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are all ids. test_length=n draws sequences of
    n tokens.

    Args:
        length: tokens of a sequence.
        vocabulary: ids, the compression token included.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py, mad/model/auto_encoder.py and
    configs/tasks/compression.yml (baseline: 12,800 training sequences).
    """

    from_final_step = True

    def __init__(
        self,
        *,
        length: Annotated[int, Range(2, 65536)] = 32,
        vocabulary: Annotated[int, Range(3, 65536)] = 16,
    ):
        super().__init__("mad-compress", length=length, vocabulary=vocabulary, answers=vocabulary - 1)
        self.chance = max((1 - 1 / length) / (vocabulary - 1), 1 / length)

    def at_length(self, length: int) -> MadCompress:
        return MadCompress(length=length, vocabulary=self.vocabulary)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        symbols = draw.integers(0, self.vocabulary - 1, size=(count, self.cells))
        symbols[:, -1] = self.vocabulary - 1
        return symbols, symbols

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        return samples.symbols.astype(np.int64)
