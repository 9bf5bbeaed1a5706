"""Two pairs of patterns on a line: the label says which pair stands close together."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from harness.contracts import Samples
from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._patterns import PLUS, LineTask, NoiseKind, class_patterns, irrelevant_patterns
from ._placement import matched_placement, uniform_placement


@tasks.register("locality", version=1)
class Locality(LineTask):
    """Locality: tell which of two class patterns stands close together.

    A token is one of `dim` orthonormal patterns (the standard basis) plus noise. Every sequence holds exactly two o_+
    (pattern 0) and two o_- (pattern 1). With label z = +1 the two o_+ stand `near` apart and the two o_- `far` apart;
    with z = -1 the other way round. The rest are irrelevant patterns. Counts tell nothing: distances do.

    length=10, near=2, far=6, as patterns:                  target
        7 1 0 4 0 9 3 1 5 6                                 1   (o_+ 2 apart, o_- 6 apart)
        5 0 8 1 3 1 2 0 6 4                                 0   (o_- 2 apart, o_+ 6 apart)

    Where the pairs go:
    - placement=paper: uniform over all placements of the two pairs on four distinct cells (each pair's start uniform,
      both drawn anew until no cells coincide). A far pair then stands near the ends and a near pair need not, so
      position alone predicts the label: .79 at length 30, near 2, far 20.
    - placement=matched (ours, the default): both patterns have the same distribution over positions in both classes,
      exactly; see `matched_placement`. It is the default because a score on `paper` does not show that a model has
      learned anything about distance. Where far > length / 2 it leaves the middle to irrelevant tokens.

    Tokens are float32 [batch, length, dim] on a 1 x length grid.

    Args:
        length: tokens a sequence (L).
        near: distance of the near pair, in tokens.
        far: distance of the far pair, in tokens.
        noise: standard deviation of the noise in each feature (tau).
        noise_kind: its distribution: normal (the paper's), Student's t of 3 degrees of freedom, or normal and
            correlated along the sequence (.9 between neighbours); the last two are ours.
        dim: number of patterns, and features of a token (d).
        placement: where the pairs go.
        replacement: irrelevant patterns may repeat within a sequence.

    Raises:
        UserError: near >= far, far >= length, no room for matched pairs, or too few patterns without replacement.

    Source: arXiv 2602.12499, data model. dim=32 is the paper's; the other defaults are ours.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(5, 4096)] = 30,
        near: Annotated[int, Range(1, 4095)] = 2,
        far: Annotated[int, Range(2, 4095)] = 20,
        noise: Annotated[float, Range(0, 100)] = 0.01,
        noise_kind: NoiseKind = "normal",
        dim: Annotated[int, Range(3, 4096)] = 32,
        placement: Literal["matched", "paper"] = "matched",
        replacement: bool = True,
    ):
        if near >= far:
            raise UserError(
                f"task locality: near must be less than far, got near={near}, far={far}; lower near or raise far"
            )
        if far >= length:
            raise UserError(
                f"task locality: far must be less than length, got far={far}, length={length}; lower far or take"
                f" length={far + 1} or more"
            )
        super().__init__("task locality", length, length - 4, dim, noise, noise_kind, replacement)
        place = matched_placement if placement == "matched" else uniform_placement
        self.placement = place(length, near, far)
        self.tests_locality = placement == "matched"

    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        near, far = self.placement.draw(len(target), draw)
        close, apart = class_patterns(target)
        rows = np.arange(len(target))[:, None]
        free = np.ones((len(target), self.cells), dtype=bool)
        free[rows, near] = free[rows, far] = False
        shape = (len(target), self.cells - 4)
        irrelevant = irrelevant_patterns(shape, len(self.vectors), draw, replacement=self.replacement)
        patterns = np.empty(free.shape, dtype=irrelevant.dtype)
        patterns[free] = irrelevant.reshape(-1)
        patterns[rows, near] = close[:, None]
        patterns[rows, far] = apart[:, None]
        return patterns

    def oracle(self, samples: Samples) -> np.ndarray:
        assert samples.patterns is not None
        cells = np.nonzero(samples.patterns == PLUS)[1].reshape(-1, 2)
        return (cells[:, 1] - cells[:, 0] == self.placement.near).astype(np.int64)
