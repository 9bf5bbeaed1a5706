"""What majority tasks share, on a line or in an image: counts from fractions, the layout, the right answer."""

from __future__ import annotations

import numpy as np

from harness.errors import UserError

from ._patterns import MINUS, PLUS, class_patterns


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


def majority_layout(
    target: np.ndarray, draw: np.random.Generator, *, counts: tuple[int, int], irrelevant: np.ndarray
) -> np.ndarray:
    """Lay out counts[0] tokens of the label's pattern, counts[1] of the other one, the rest irrelevant, shuffled.

    irrelevant: [samples, cells - sum(counts)].
    """
    relevant, confusing = class_patterns(target)
    tokens = [np.repeat(relevant[:, None], counts[0], axis=1), np.repeat(confusing[:, None], counts[1], axis=1)]
    ordered = np.concatenate([*(part.astype(irrelevant.dtype) for part in tokens), irrelevant], axis=1)
    return draw.permuted(ordered, axis=1)


def majority_guess(patterns: np.ndarray) -> np.ndarray:
    """1 where o_+ is the more frequent of the two class patterns, else 0: int64 [samples]."""
    return ((patterns == PLUS).sum(axis=1) > (patterns == MINUS).sum(axis=1)).astype(np.int64)
