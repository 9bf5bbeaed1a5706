"""Majority voting over noisy patterns, in random order."""

from __future__ import annotations

from typing import Annotated

from harness.registry import Range, tasks

from ._patterns import LineTask, NoiseKind
from ._voting import Voting, majority_counts


@tasks.register("majority", version=1)
class Majority(Voting, LineTask):
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

    def __init__(
        self,
        *,
        length: Annotated[int, Range(1, 4096)] = 30,
        relevant: Annotated[float, Range(0, 1)] = 0.4,
        confusing: Annotated[float, Range(0, 1)] = 0.1,
        noise: Annotated[float, Range(0, 100)] = 0.01,
        noise_kind: NoiseKind = "normal",
        dim: Annotated[int, Range(3, 4096)] = 32,
        replacement: bool = True,
    ):
        self.counts = majority_counts(
            "task majority", relevant=relevant, confusing=confusing, cells=length, within=f"length={length}"
        )
        super().__init__("task majority", length, length - sum(self.counts), dim, noise, noise_kind, replacement)
