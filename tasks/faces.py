"""Faces among other things: two hundred small pictures, cross-validated."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np

from harness.registry import Range, tasks

from ._finite import CrossValidatedTask
from ._image_sets import ArrayImages


@tasks.register("faces", version=1)
def faces(*, patch: Annotated[int, Range(1, 25)] = 3) -> CrossValidatedTask:
    """Faces: tell whether a small gray picture is a face (1) or not (0).

    100 faces and 100 pieces of background, 25 x 25 pixels each, gray. An image is cut down to the central rows and
    columns that whole patches cover (of 25, patch=3 takes 24 and leaves the last; patch=5 takes all), standardized with
    mean and standard deviation of the training images, and cut into patches:

    patch=3: 8 x 8 cells of 9 features        patch=5: 5 x 5 cells of 25 features

    So few images are cross-validated: the run with seed s tests on fold s % 5 of a stratified partition into five that
    depends on s // 5. 40 images are tested on, 20 of the others validate, 140 are trained on, again and again. Scores
    of different seeds therefore depend on each other, which `test_train_ratio` = 40 / 140 says. With --tune the
    learning rate is chosen on partitions of their own, but on the same 200 images.

    Tokens are float32 [batch, cells, patch * patch]; samples also offer `images(indices)`, float32
    [batch, 1, height * patch, width * patch].

    Args:
        patch: pixels along a side of a patch.

    Source: lfw_subset of scikit-image, bundled with it, from Labeled Faces in the Wild (Huang et al., 2007).
    """
    return CrossValidatedTask(_images(), classes=2, patch=patch, subject="task faces")


@functools.cache
def _images() -> ArrayImages:
    from skimage.data import lfw_subset

    pixels = lfw_subset()
    return ArrayImages(pixels[:, None].astype(np.float32), np.repeat([1, 0], len(pixels) // 2))
