"""Stained tissue, left as it is or with some of its patches moved about."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._crops import BANDS, CropTask, photographs


@tasks.register("histology", version=1)
class Histology(CropTask):
    """Tissue under a microscope: tell whether it is as it was or some of its patches have changed places.

    A sample is a random crop of a photograph of 512 x 512 pixels in colour. With target 1 it is left as it is. With
    target 0 a random share `disorder` of its patches change places among themselves: every one of them leaves its
    cell, all others stay. So the patches of an image are the same in distribution for both classes, in colour and
    count, and order-blind accuracy is at chance: only whether neighbours fit each other tells. Every cell is as likely
    to be among those that move, so a cell by itself tells next to nothing (crops lie in a band, whose edges only edge
    cells reach).

    height=2, width=4, disorder=0.5, which cell of the crop each patch comes from:     target
        0 1 2 3                                                                        1
        4 5 6 7
        0 6 2 1                                                                        0
        4 5 3 7

    Train, validation and test crops come from bands of rows of their own (0 to 307, 308 to 409, 410 to 511), so no
    pixel is seen in two splits. Colours are standardized, a channel at a time, with the mean and standard deviation of
    the train band; then every value gets Gaussian noise.

    Tokens are float32 [batch, height * width, 3 * patch * patch]; samples also offer `images(indices)`, float32
    [batch, 3, height * patch, width * patch].

    Args:
        height: patches from top to bottom.
        width: patches from left to right.
        patch: pixels along a side of a patch.
        disorder: share of the patches that change places in images of target 0, rounded to whole patches.
        noise: standard deviation of the Gaussian noise in each value.

    Raises:
        UserError: fewer than two patches would move, or an image does not fit into the narrowest band.

    Source: the task is ours; immunohistochemistry of scikit-image, bundled with it (colonic glands; Center for
    Microscopy and Molecular Imaging, no known copyright restrictions).
    """

    def __init__(
        self,
        *,
        height: Annotated[int, Range(1, 128)] = 8,
        width: Annotated[int, Range(1, 128)] = 8,
        patch: Annotated[int, Range(1, 64)] = 4,
        disorder: Annotated[float, Range(0, 1)] = 1.0,
        noise: Annotated[float, Range(0, 100)] = 0.1,
    ):
        subject = "task histology"
        pictures = photographs("immunohistochemistry")
        first, last = BANDS["train"]
        seen = pictures[:, :, first:last].astype(np.float64)
        center, spread = (of(seen, axis=(0, 2, 3), keepdims=True).astype(np.float32) for of in (np.mean, np.std))
        super().__init__(
            (pictures - center) / spread,
            subject,
            classes=2,
            height=height,
            width=width,
            patch=patch,
            noise=noise,
            leveled=False,
        )
        self.moved = round(disorder * self.cells)
        if self.moved < 2:
            raise UserError(
                f"{subject}: at least two patches must change places, got disorder={disorder} of {self.cells} cells,"
                f" which is {self.moved}; take a larger disorder or grid"
            )

    def compose(self, target: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        places = np.tile(np.arange(self.cells), (len(target), 1))
        # Drawn for both targets, so that what a sample's crop is does not depend on its label.
        cells = draw.permuted(places, axis=1)[:, : self.moved]
        sources = np.take_along_axis(cells, derangements(len(target), self.moved, draw), axis=1)
        moving = np.flatnonzero(target == 0)
        places[moving[:, None], cells[moving]] = sources[moving]
        return np.zeros(len(target), dtype=np.int64), places


def derangements(count: int, size: int, draw: np.random.Generator) -> np.ndarray:
    """Permutations [count, size] that leave nothing in its place, all equally likely: drawn until none does."""
    drawn = draw.permuted(np.tile(np.arange(size), (count, 1)), axis=1)
    while len(again := np.flatnonzero((drawn == np.arange(size)).any(axis=1))):
        drawn[again] = draw.permuted(drawn[again], axis=1)
    return drawn
