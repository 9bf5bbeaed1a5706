"""Brick, grass or gravel: crops of three photographs."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.registry import Range, tasks

from ._crops import CropTask, photographs

PHOTOGRAPHS = ("brick", "grass", "gravel")


@tasks.register("textures", version=1)
class Textures(CropTask):
    """Real textures: tell crops of photographs of brick (0), grass (1) and gravel (2) apart.

    A sample is a random crop of height * patch x width * patch pixels of one of three photographs of 512 x 512 pixels,
    equally often of each. Train, validation and test crops come from bands of rows of their own (0 to 307, 308 to 409,
    410 to 511), so no pixel is seen in two splits. Each crop is standardized to mean 0 and variance 1, so brightness
    and contrast tell nothing, then gets Gaussian noise in every pixel and is cut into patches.

    height=8, width=8, patch=4:    grass from rows 17 to 48, columns 301 to 332    target 1

    What stands beside what makes a texture, but a single patch tells something too: this does not test locality. There
    is one photograph a class, and crops of it overlap; scores speak of these three photographs, not of grass.

    Tokens are float32 [batch, height * width, patch * patch]; samples also offer `images(indices)`, float32
    [batch, 1, height * patch, width * patch].

    Args:
        height: patches from top to bottom.
        width: patches from left to right.
        patch: pixels along a side of a patch.
        noise: standard deviation of the Gaussian noise in each pixel value; see docs/difficulty.md for the default.

    Raises:
        UserError: an image does not fit into the narrowest band, 102 x 512 pixels.

    Source: brick, grass and gravel of scikit-image, bundled with it (from CC0 Textures, CC0).
    """

    def __init__(
        self,
        *,
        height: Annotated[int, Range(1, 128)] = 8,
        width: Annotated[int, Range(1, 128)] = 8,
        patch: Annotated[int, Range(1, 64)] = 4,
        noise: Annotated[float, Range(0, 100)] = 3.0,
    ):
        super().__init__(
            photographs(*PHOTOGRAPHS),
            "task textures",
            classes=len(PHOTOGRAPHS),
            height=height,
            width=width,
            patch=patch,
            noise=noise,
            leveled=True,
        )

    def compose(self, target: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, None]:
        return target, None
