"""Majority voting over noisy patterns, in random order."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._noise import NoiseKind
from ._patterns import PatternTask, check_supply, irrelevant_patterns
from ._voting import majority_counts, majority_guess, majority_layout


@tasks.register("majority", version=1)
def majority(
    *,
    length: Annotated[int, Range(1, 4096)] = 30,
    relevant: Annotated[float, Range(0, 1)] = 0.4,
    confusing: Annotated[float, Range(0, 1)] = 0.1,
    noise: Annotated[float, Range(0, 100)] = 0.01,
    noise_kind: Literal["normal", "student", "correlated"] = "normal",
    dim: Annotated[int, Range(3, 4096)] = 32,
    replacement: bool = True,
) -> Majority:
    """Majority: tell which of two class patterns occurs more often.

    A token is one of `dim` orthonormal patterns (the standard basis) plus noise. With label z = +1, relevant * length
    tokens carry o_+ (pattern 0) and confusing * length carry o_- (pattern 1); with z = -1 the other way round. The rest
    are irrelevant patterns, and all positions are random. Order tells nothing: counts do.

    length=6, relevant=.5, confusing=1/6, as patterns:      target
        0 7 0 4 1 0                                         1   (three o_+, one o_-)
        1 1 9 0 3 1                                         0   (three o_-, one o_+)

    Tokens are float32 [batch, length, dim] on a 1 x length grid.

    Args:
        length: tokens a sequence (L).
        relevant: fraction that carries the label's pattern (alpha_r); the count is rounded, halves up.
        confusing: fraction that carries the other pattern (alpha_c); fewer tokens than `relevant`.
        noise: standard deviation of the noise in each feature (tau).
        noise_kind: its distribution: normal (the paper's), Student's t of 3 degrees of freedom, or normal and
            correlated along the sequence (.9 between neighbours); the last two are ours.
        dim: number of patterns, and features of a token (d).
        replacement: irrelevant patterns may repeat within a sequence.

    Raises:
        UserError: no majority after rounding, too many tokens, or too few patterns without replacement.

    Source: arXiv 2602.12499, data model. dim=32 is the paper's; the other defaults are ours.
    """
    return Majority(
        length=length,
        relevant=relevant,
        confusing=confusing,
        noise=noise,
        noise_kind=noise_kind,
        dim=dim,
        replacement=replacement,
    )


class Majority(PatternTask):
    """See `majority`."""

    def __init__(
        self,
        *,
        length: int,
        relevant: float,
        confusing: float,
        noise: float,
        noise_kind: NoiseKind,
        dim: int,
        replacement: bool,
    ):
        self.counts = majority_counts(
            "task majority", relevant=relevant, confusing=confusing, cells=length, within=f"length={length}"
        )
        check_supply("task majority", needed=length - sum(self.counts), dim=dim, replacement=replacement)
        self.grid = (1, length)
        self.features = dim
        self.vectors = np.eye(dim, dtype=np.float32)
        self.noise = noise
        self.noise_kind = noise_kind
        self.replacement = replacement

    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        shape = (len(target), self.cells - sum(self.counts))
        irrelevant = irrelevant_patterns(shape, len(self.vectors), draw, replacement=self.replacement)
        return majority_layout(target, draw, counts=self.counts, irrelevant=irrelevant)

    def oracle(self, samples: Samples) -> np.ndarray:
        assert samples.patterns is not None
        return majority_guess(samples.patterns)
