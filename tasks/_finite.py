"""The task of so many labelled images and no more, and how images are split.

By class; into folds, where few are cross-validated; and where a test part is published, everything before it trains.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.contracts import Split, Task
from harness.contracts.errors import UserError
from harness.contracts.seeds import generator, seed_of

from ._image_sets import Images
from ._images import CutSamples

SCALED_BY = 1000
"""Pixels are standardized with the mean and standard deviation of no more training images than this."""


def stratified_parts(labels: np.ndarray, order: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    """Cut each class, in the given order, into parts of these shares; a part gets one image of each class at least.

    >>> [part.tolist() for part in stratified_parts(np.array([0, 1, 0, 1, 0, 0]), np.arange(6), (0.5, 0.5))]
    [[0, 2, 1], [4, 5, 3]]
    """
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in np.unique(labels[order]):
        members = order[labels[order] == label]
        last = len(shares) - 1
        ends = [
            min(max(round(len(members) * sum(shares[: part + 1])), part + 1), len(members) - (last - part))
            for part in range(last)
        ]
        for part, piece in enumerate(np.split(members, ends)):
            parts[part].append(piece)
    return [np.concatenate(pieces) for pieces in parts]


def stratified_order(labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A random order of which every beginning holds the classes in their proportions, give or take one image."""
    order = draw.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels)
    rank = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels[by_class]]
    return by_class[np.argsort((rank + draw.random(len(labels))) / sizes[labels[by_class]], kind="stable")]


def largest_share(labels: np.ndarray) -> float:
    """The accuracy of the best constant guess."""
    return float(np.bincount(labels).max() / len(labels))


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSamples(CutSamples):
    """Images of a set. chosen: their indices in it [count]. center, spread: [channels, 1, 1]."""

    target: np.ndarray
    stored: Images
    chosen: np.ndarray
    center: np.ndarray
    spread: np.ndarray
    patch: int

    def images(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: float32 [batch, channels, height * patch, width * patch], standardized."""
        _, height, width = self.stored.shape
        top, left = height % self.patch // 2, width % self.patch // 2
        images = self.stored.read(self.chosen[indices])
        images = images[..., top : top + height - height % self.patch, left : left + width - width % self.patch]
        return (images - self.center) / self.spread


class FiniteTask(Task):
    """Classify stored images: the central rows and columns that whole patches cover, standardized a channel.

    Args:
        parts: the images of each split.
    """

    def __init__(self, images: Images, *, parts: Mapping[Split, np.ndarray], classes: int, patch: int, subject: str):
        channels, height, width = images.shape
        if patch > min(height, width):
            raise UserError(
                f"{subject}: a patch must fit into its images of {height} x {width} pixels, got patch={patch};"
                f" take patch={min(height, width)} or less"
            )
        self.stored, self.parts, self.patch, self.channels = images, parts, patch, channels
        self.grid = (height // patch, width // patch)
        self.features = channels * patch * patch
        self.classes = classes
        self.chance = largest_share(images.labels[parts["test"]])

    def sample(self, split: Split, count: int, seed: int) -> StoredSamples:
        members = self.parts[split]
        draw = generator(seed if split == "train" else seed_of(part="a fixed subset", split=split))
        chosen = members[stratified_order(self.stored.labels[members], draw)[:count]]
        center, spread = self._scale
        return StoredSamples(
            target=self.stored.labels[chosen],
            stored=self.stored,
            chosen=chosen,
            center=center,
            spread=spread,
            patch=self.patch,
        )

    @functools.cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        members = self.parts["train"]
        order = stratified_order(self.stored.labels[members], generator(seed_of(part="a fixed subset", split="scale")))
        pixels = self.stored.read(members[order[:SCALED_BY]]).astype(np.float64)
        center, spread = (of(pixels, axis=(0, 2, 3)).astype(np.float32) for of in (np.mean, np.std))
        return center[:, None, None], np.where(spread > 0, spread, 1)[:, None, None]


FOLDS = 5
FOLD_VALIDATION_SHARE = 1 / 8
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
    validation, train = stratified_parts(labels, by_class[~tested], (FOLD_VALIDATION_SHARE, 1 - FOLD_VALIDATION_SHARE))
    return {"train": train, "validation": validation, "test": by_class[tested]}


class CrossValidatedTask(FiniteTask):
    """A finite task whose run with seed s tests on fold s % 5 of partition s // 5; as made, it is that of seed 0."""

    def __init__(self, images: Images, *, classes: int, patch: int, subject: str, seed: int = 0):
        parts = fold(images.labels, seed)
        super().__init__(images, parts=parts, classes=classes, patch=patch, subject=subject)
        self.chance = largest_share(images.labels)
        self.test_train_ratio = len(parts["test"]) / len(parts["train"])
        self._subject = subject

    def for_run(self, seed: int) -> CrossValidatedTask:
        return CrossValidatedTask(self.stored, classes=self.classes, patch=self.patch, subject=self._subject, seed=seed)


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
