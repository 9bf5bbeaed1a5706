"""Handwritten digits of 8 x 8 pixels, cross-validated."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np

from harness.contracts.errors import Unsupported
from harness.registry import Range, tasks

from ._finite import CrossValidatedTask
from ._image_sets import ArrayImages


@tasks.register("digits", version=1)
def digits(*, patch: Annotated[int, Range(1, 8)] = 1) -> CrossValidatedTask:
    """Handwritten digits of 8 x 8 pixels: tell which of 0 to 9.

    1,797 gray pictures of 8 x 8 pixels with 17 gray levels, about 180 of each digit, standardized with mean and
    standard deviation of the training images:

    patch=1: 8 x 8 cells of one feature       patch=2: 4 x 4 cells of 4 features

    A patch that does not divide 8 leaves the outermost rows and columns out. The images are cross-validated: the run
    with seed s tests on fold s % 5 of a stratified partition into five that depends on s // 5; an eighth of the other
    images validates, the rest is trained on, again and again. Scores of different seeds therefore depend on each other,
    which `test_train_ratio`, about 2 / 7, says. With --tune the learning rate is chosen on partitions of their own,
    but of the same images.

    Tokens are float32 [batch, cells, patch * patch]; samples also offer `images(indices)`, float32
    [batch, 1, height * patch, width * patch].

    Args:
        patch: pixels along a side of a patch.

    Raises:
        Unsupported: scikit-learn is not installed.

    Source: load_digits of scikit-learn, the test part of Optical Recognition of Handwritten Digits (Alpaydin and
    Kaynak, 1998, UCI Machine Learning Repository).
    """
    return CrossValidatedTask(_images(), classes=10, patch=patch, subject="task digits")


@functools.cache
def _images() -> ArrayImages:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Unsupported(
            "task digits needs scikit-learn, which is not installed", "pip install scikit-learn"
        ) from error
    found = load_digits()
    return ArrayImages((found.images[:, None] / 16).astype(np.float32), found.target)  # pyright: ignore
