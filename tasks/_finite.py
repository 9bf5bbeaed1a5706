"""The task of so many labelled images and no more, and how images are split by class."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.errors import UserError
from harness.seeds import generator, seed_of

from ._image_sets import Images
from ._images import cut_patches

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
class StoredSamples(Samples):
    """Images of a set. chosen: their indices in it [count]. center, spread: [channels, 1, 1]. patch: pixels a side."""

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

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(tokens=cut_patches(self.images(indices), self.patch), target=self.target[indices])


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
        self.stored = images
        self.parts = parts
        self.patch = patch
        self.channels = channels
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
