"""Small image sets, cross-validated: each seed tests on a fold of its own."""

from __future__ import annotations

import numpy as np

from harness.contracts import Split
from harness.seeds import generator, seed_of

from ._finite import FiniteTask, largest_share, stratified_parts
from ._image_sets import Images

FOLDS = 5
VALIDATION_SHARE = 1 / 8
"""Of the four folds that are not tested on: a tenth of all, so that seven tenths are trained on."""


def fold(labels: np.ndarray, seed: int, folds: int = FOLDS) -> dict[Split, np.ndarray]:
    """Repeated stratified cross-validation: of five folds, seeds 0 to 4 are those of one partition, 5 to 9 of the next.

    Fold sizes differ by one at most, and so does each class's share of them. Validation is a stratified eighth of the
    images that are not in the fold.
    """
    repeat, number = divmod(seed, folds)
    draw = generator(seed_of(part="folds", repeat=repeat))
    order = draw.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    tested = np.arange(len(labels)) % folds == number
    validation, train = stratified_parts(labels, by_class[~tested], (VALIDATION_SHARE, 1 - VALIDATION_SHARE))
    return {"train": train, "validation": validation, "test": by_class[tested]}


class CrossValidatedTask(FiniteTask):
    """A finite task whose run with seed s tests on fold s % 5 of partition s // 5; as made, it is that of seed 0."""

    def __init__(self, images: Images, *, classes: int, patch: int, subject: str, seed: int = 0):
        parts = fold(images.labels, seed)
        super().__init__(images, parts=parts, classes=classes, patch=patch, subject=subject)
        self.chance = largest_share(images.labels)
        self.resampled = len(parts["test"]) / len(parts["train"])
        self._subject = subject

    def for_run(self, seed: int) -> CrossValidatedTask:
        return CrossValidatedTask(self.stored, classes=self.classes, patch=self.patch, subject=self._subject, seed=seed)
