"""Random crops of a few large photographs, whose bands of rows belong to train, validation and test."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from einops import rearrange

from harness.contracts import Batch, Grid, Samples, Split, Task
from harness.errors import UserError
from harness.seeds import generator, normal_noise, seed_of

from ._images import cut_patches
from ._patterns import noise_seed_of

SIDE = 512
"""Rows and columns of a photograph."""

BANDS: dict[Split, tuple[int, int]] = {"train": (0, 308), "validation": (308, 410), "test": (410, SIDE)}
"""First row, and the one after the last: three fifths, one, one."""

BLOCKS = 512
"""Samples are drawn so many times the number of classes at a time: a larger draw begins with the smaller one."""


@functools.cache
def photographs(*names: str) -> np.ndarray:
    """Photographs of scikit-image: float32 [photographs, channels, 512, 512], 0 black and 1 white; read-only."""
    from skimage import data

    read = [getattr(data, name)() for name in names]
    pixels = np.stack([np.atleast_3d(each) for each in read]).astype(np.float32) / 255
    pixels = np.ascontiguousarray(rearrange(pixels, "photographs y x channels -> photographs channels y x"))
    assert pixels.shape[2:] == (SIDE, SIDE)
    pixels.setflags(write=False)
    return pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class CropSamples(Samples):
    """Crops of photographs, with noise in every pixel value.

    photograph: which one [count]. corners: row and column of the top left pixel [count, 2]. places: from which cell of
    the crop the patch in each cell comes [count, cells], or None where all stay. leveled: each crop is standardized.
    """

    target: np.ndarray
    photographs: np.ndarray
    photograph: np.ndarray
    corners: np.ndarray
    places: np.ndarray | None
    grid: Grid
    patch: int
    leveled: bool
    noise: float
    noise_seed: int

    def images(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: float32 [batch, channels, height * patch, width * patch], pixel noise included."""
        size = (self.grid[0] * self.patch, self.grid[1] * self.patch)
        windows = np.lib.stride_tricks.sliding_window_view(self.photographs, size, axis=(2, 3))  # pyright: ignore
        rows, columns = self.corners[indices].T
        images = windows[self.photograph[indices], :, rows, columns]
        if self.leveled:
            images = images - images.mean(axis=(1, 2, 3), keepdims=True)
            images /= images.std(axis=(1, 2, 3), keepdims=True).clip(1e-6)
        if self.places is not None:
            tokens = np.take_along_axis(cut_patches(images, self.patch), self.places[indices][..., None], axis=1)
            images = rearrange(
                tokens,
                "b (height width) (c y x) -> b c (height y) (width x)",
                height=self.grid[0],
                y=self.patch,
                x=self.patch,
            )
        if self.noise:
            images = images + np.float32(self.noise) * normal_noise(self.noise_seed, indices, images.shape[1:])
        return np.ascontiguousarray(images)

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(tokens=cut_patches(self.images(indices), self.patch), target=self.target[indices])


class CropTask(Task):
    """Crops of photographs [photographs, channels, 512, 512]; which, and with which patches moved, the task says.

    Raises:
        UserError: a crop does not fit into the narrowest band.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        *,
        classes: int,
        height: int,
        width: int,
        patch: int,
        noise: float,
        leveled: bool,
        subject: str,
    ):
        rows = min(last - first for first, last in BANDS.values())
        if height * patch > rows or width * patch > SIDE:
            raise UserError(
                f"{subject}: an image (height * patch x width * patch) must fit into a band of {rows} x {SIDE} pixels,"
                f" got {height * patch} x {width * patch}; take fewer or smaller patches"
            )
        self.grid = (height, width)
        self.patch = patch
        self.channels = pictures.shape[1]
        self.features = self.channels * patch * patch
        self.classes = classes
        self.chance = 1 / classes
        self.photographs = pictures
        self.leveled = leveled
        self.noise = noise

    @abstractmethod
    def compose(self, target: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """What target [samples] shows: photograph [samples], and places [samples, cells] or None."""

    def sample(self, split: Split, count: int, seed: int) -> CropSamples:
        first, last = BANDS[split]
        beyond = (last - self.grid[0] * self.patch + 1, SIDE - self.grid[1] * self.patch + 1)
        chunks = []
        for chunk in range(-(-count // (BLOCKS * self.classes))):
            draw = generator(seed_of(part="crops", split=split, seed=seed, chunk=chunk))
            target = draw.permuted(np.tile(np.arange(self.classes), (BLOCKS, 1)), axis=1).ravel()
            corners = draw.integers((first, 0), beyond, size=(len(target), 2))
            chunks.append((target, corners, *self.compose(target, draw)))
        target, corners, photograph, places = (
            None if pieces[0] is None else np.concatenate(pieces)[:count] for pieces in zip(*chunks, strict=True)
        )
        assert target is not None and corners is not None and photograph is not None
        return CropSamples(
            target=target.astype(np.int64),
            photographs=self.photographs,
            photograph=photograph,
            corners=corners,
            places=places,
            grid=self.grid,
            patch=self.patch,
            leveled=self.leveled,
            noise=self.noise,
            noise_seed=noise_seed_of(split, seed),
        )
