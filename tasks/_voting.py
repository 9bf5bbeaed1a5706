"""What majority tasks share, on a line or in an image: counts from fractions, the layout, the right answer."""

from __future__ import annotations

import numpy as np

from harness.contracts import Samples
from harness.contracts.errors import UserError

from ._patterns import MINUS, PLUS, PatternTask, class_patterns, irrelevant_patterns


def rounded_share(fraction: float, cells: int) -> int:
    """The whole number of cells nearest to a fraction of them, halves rounded up."""
    return int(np.floor(fraction * cells + 0.5 + 1e-9))


def majority_counts(subject: str, *, relevant: float, confusing: float, cells: int, within: str) -> tuple[int, int]:
    """How many cells hold the relevant and the confusing pattern, for fractions of the cells.

    Raises:
        UserError: no majority (counted after rounding), or more tokens than cells; `within` names the sizes.
    """
    more, fewer = rounded_share(relevant, cells), rounded_share(confusing, cells)
    if fewer >= more:
        raise UserError(
            f"{subject}: the confusing tokens must be fewer than the relevant ones, got confusing={confusing:g}"
            f" ({fewer} tokens) and relevant={relevant:g} ({more} tokens) at {within}; raise relevant"
        )
    if more + fewer > cells:
        raise UserError(
            f"{subject}: relevant and confusing tokens must fit into {within} ({cells} cells), got {more} + {fewer};"
            f" lower relevant or confusing"
        )
    return more, fewer


class Voting(PatternTask):
    """counts: how many cells hold the relevant and the confusing pattern; the rest are irrelevant, in random order."""

    counts: tuple[int, int]

    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        shape = (len(target), self.cells - sum(self.counts))
        irrelevant = irrelevant_patterns(shape, len(self.vectors), draw, replacement=self.replacement)
        tokens = [
            np.repeat(pattern[:, None], count, axis=1).astype(irrelevant.dtype)
            for pattern, count in zip(class_patterns(target), self.counts, strict=True)
        ]
        return draw.permuted(np.concatenate([*tokens, irrelevant], axis=1), axis=1)

    def oracle(self, samples: Samples) -> np.ndarray:
        assert samples.patterns is not None
        plus, minus = ((samples.patterns == pattern).sum(axis=1) for pattern in (PLUS, MINUS))
        return (plus > minus).astype(np.int64)
