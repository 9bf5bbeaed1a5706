"""Majority voting over textures in an image: the control in which the scan must not matter."""

from __future__ import annotations

from typing import Annotated

from harness.registry import Range, tasks

from ._images import ImageTask
from ._voting import Voting, majority_counts


@tasks.register("majority2d", version=1)
class Majority2d(Voting, ImageTask):
    """Majority in an image: tell which of two textures occurs more often, a control that no scan should matter to.

    The patches of a height x width grid hold textures; with target 1, relevant * cells of them hold class texture 0 and
    confusing * cells class texture 1, with target 0 the other way round. Cells are distinct and uniformly random, the
    rest hold irrelevant textures. Images, patches and noise are those of `locality2d`.

    height=2, width=4, relevant=.375, confusing=.125, as patterns:      target
        0 5 2 0                                                         1   (three 0, one 1)
        9 1 0 4

    Tokens are float32 [batch, height * width, channels * patch * patch]; samples also offer `images(indices)`.

    Args:
        height: patches from top to bottom.
        width: patches from left to right.
        relevant: fraction of cells with the label's texture; the count is rounded, halves up.
        confusing: fraction of cells with the other class texture; fewer cells than `relevant`.
        noise: standard deviation of the Gaussian noise in each pixel value (a texture has unit norm over its patch).
        patch: pixels along a side of a patch.
        channels: values a pixel.

    Raises:
        UserError: no majority after rounding, too many tokens, or a patch too small for textures.

    Source: ours, after the majority task of arXiv 2602.12499.
    """

    def __init__(
        self,
        *,
        height: Annotated[int, Range(1, 128)] = 8,
        width: Annotated[int, Range(1, 128)] = 8,
        relevant: Annotated[float, Range(0, 1)] = 0.25,
        confusing: Annotated[float, Range(0, 1)] = 0.125,
        noise: Annotated[float, Range(0, 100)] = 0.3,
        patch: Annotated[int, Range(1, 32)] = 4,
        channels: Annotated[int, Range(1, 16)] = 1,
    ):
        subject = "task majority2d"
        super().__init__(subject=subject, height=height, width=width, patch=patch, channels=channels, noise=noise)
        self.counts = majority_counts(
            subject, relevant=relevant, confusing=confusing, cells=self.cells, within=f"height={height}, width={width}"
        )
