"""Data sets with a published test part: everything before it is for training."""

from __future__ import annotations

import numpy as np

from harness.seeds import generator, seed_of

from ._finite import FiniteTask, stratified_parts
from ._image_sets import Images

VALIDATION_SHARE = 0.1
"""Of the training images, where a data set comes without validation images."""


def published_task(
    images: Images, *, tested: int, validated: int = 0, classes: int, patch: int, subject: str
) -> FiniteTask:
    """The task of images in the order train, validation, test.

    Args:
        tested: how many images at the end are tested on.
        validated: how many before them validate; 0 takes a stratified tenth of the training images, always the same.
    """
    count = len(images.labels)
    train, validation, test = np.split(np.arange(count), [count - tested - validated, count - tested])
    if not validated:
        order = generator(seed_of(part="carved validation", images=len(train))).permutation(train)
        validation, train = stratified_parts(images.labels, order, (VALIDATION_SHARE, 1 - VALIDATION_SHARE))
    return FiniteTask(
        images,
        parts={"train": train, "validation": validation, "test": test},
        classes=classes,
        patch=patch,
        subject=subject,
    )
