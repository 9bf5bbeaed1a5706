"""Two textures in an image, equally many of both: the label says which one is concentrated."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._dispersion import dispersion
from ._images import ImageTask
from ._patterns import MINUS, PLUS, class_patterns, irrelevant_patterns


@tasks.register("locality2d", version=1)
class Locality2d(ImageTask):
    """Locality in an image: tell which of two class textures is concentrated, which dispersed.

    The patches of a height x width grid hold textures. Every image holds exactly `count` patches of class texture 0 and
    `count` of class texture 1. With target 1 texture 0 is concentrated (its cells lie in one window of neighbourhood x
    neighbourhood cells) and texture 1 is dispersed (every cell comes from a window of its own); with target 0 the other
    way round. The rest hold irrelevant textures. Counts tell nothing, and by construction both textures cover every
    cell equally often: only where tokens stand relative to each other tells the classes apart.

    height=4, width=6, neighbourhood=2, count=2, as patterns:       target
        5 1 7 2 9 3                                                 1   (the two 0 in one window, the two 1 not)
        4 6 0 0 8 2
        3 3 5 4 6 1
        9 7 2 8 5 4

    Layouts are drawn as `_dispersion` says: a window and cells in it for the concentrated texture, reweighted cells for
    the dispersed one, both anew until all cells are distinct. A class texture is a Walsh-Hadamard (or DCT) texture of
    unit norm, the image gets Gaussian noise in every pixel value and is then cut into patches.

    Tokens are float32 [batch, height * width, channels * patch * patch]; samples also offer `images(indices)`, float32
    [batch, channels, height * patch, width * patch].

    Args:
        height: patches from top to bottom.
        width: patches from left to right.
        neighbourhood: cells along a side of the window; 0 takes 3, or 2 where a side of the grid is under 6
            (on 4 x 4 cells most sets would lie within 3 x 3).
        count: patches of each class texture; 0 takes one less than the window has cells, at most 4.
        noise: standard deviation of the Gaussian noise in each pixel value. The default was chosen by a rule, under
            rows alone and before any two scans were compared (docs/difficulty.md).
        patch: pixels along a side of a patch.
        channels: values a pixel.

    Raises:
        UserError: the tokens do not find room, or a patch is too small for textures.

    Source: ours, after the locality-structured task of arXiv 2602.12499.
    """

    tests_locality = True

    def __init__(
        self,
        *,
        height: Annotated[int, Range(2, 128)] = 8,
        width: Annotated[int, Range(2, 128)] = 8,
        neighbourhood: Annotated[int, Range(0, 8)] = 0,
        count: Annotated[int, Range(0, 16)] = 0,
        noise: Annotated[float, Range(0, 100)] = 0.3,
        patch: Annotated[int, Range(1, 32)] = 4,
        channels: Annotated[int, Range(1, 16)] = 1,
    ):
        neighbourhood = neighbourhood or (3 if min(height, width) >= 6 else 2)
        count = count or max(1, min(4, neighbourhood**2 - 1))
        super().__init__(
            subject="task locality2d", height=height, width=width, patch=patch, channels=channels, noise=noise
        )
        self.dispersion = dispersion(self.grid, neighbourhood, count)

    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        patterns = irrelevant_patterns((len(target), self.cells), len(self.vectors), draw)
        concentrated, dispersed = self.dispersion.draw(len(target), draw)
        close, apart = class_patterns(target)
        rows = np.arange(len(target))[:, None]
        patterns[rows, concentrated] = close[:, None]
        patterns[rows, dispersed] = apart[:, None]
        return patterns

    def oracle(self, samples: Samples) -> np.ndarray:
        """The exact Bayes decision: the likelihood of either texture being the concentrated one."""
        assert samples.patterns is not None
        plus, minus = (
            np.nonzero(samples.patterns == pattern)[1].reshape(len(samples), -1) for pattern in (PLUS, MINUS)
        )
        likelihood = self.dispersion.log_likelihood
        return (likelihood(plus, minus) > likelihood(minus, plus)).astype(np.int64)
