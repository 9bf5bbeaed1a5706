"""Random crops of a few large photographs, whose bands of rows belong to train, validation and test."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from einops import rearrange

from harness.contracts import Split, Task
from harness.contracts.errors import UserError

from ._chunks import in_chunks
from ._images import CutSamples, cut_patches, joined_patches, with_noise
from ._patterns import noise_seed_of

SIDE = 512
"""Rows and columns of a photograph."""

BANDS: dict[Split, tuple[int, int]] = {"train": (0, 308), "validation": (308, 410), "test": (410, SIDE)}
"""First row, and the one after the last: three fifths, one, one."""

BLOCKS = 512
"""Samples are drawn so many times the number of classes at a time."""


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
class CropSamples(CutSamples):
    """Crops of photographs, with noise in every pixel value.

    photograph: which one [count]. corners: row and column of the top left pixel [count, 2]. places: from which cell of
    the crop the patch in each cell comes [count, cells], or None where all stay.
    """

    task: CropTask
    target: np.ndarray
    photograph: np.ndarray
    corners: np.ndarray
    places: np.ndarray | None
    noise_seed: int

    @property
    def patch(self) -> int:  # type: ignore[override]
        return self.task.patch

    def images(self, indices: np.ndarray) -> np.ndarray:
        task = self.task
        windows = np.lib.stride_tricks.sliding_window_view(task.photographs, task.size, axis=(2, 3))  # pyright: ignore
        rows, columns = self.corners[indices].T
        images = windows[self.photograph[indices], :, rows, columns]
        if task.leveled:
            images = images - images.mean(axis=(1, 2, 3), keepdims=True)
            images /= images.std(axis=(1, 2, 3), keepdims=True).clip(1e-6)
        if self.places is not None:
            tokens = np.take_along_axis(cut_patches(images, self.patch), self.places[indices][..., None], axis=1)
            images = joined_patches(tokens, task.grid[0], self.patch)
        return with_noise(images, task.noise, self.noise_seed, indices)


class CropTask(Task):
    """Crops of photographs [photographs, channels, 512, 512]; which, and with which patches moved, the task says.

    size: rows and columns of a crop. leveled: each crop is standardized.

    Raises:
        UserError: a crop does not fit into the narrowest band.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        subject: str,
        *,
        classes: int,
        height: int,
        width: int,
        patch: int,
        noise: float,
        leveled: bool,
    ):
        rows = min(last - first for first, last in BANDS.values())
        self.size = (height * patch, width * patch)
        if height * patch > rows or width * patch > SIDE:
            raise UserError(
                f"{subject}: an image (height * patch x width * patch) must fit into a band of {rows} x {SIDE} pixels,"
                f" got {height * patch} x {width * patch}; take fewer or smaller patches"
            )
        self.grid, self.patch = (height, width), patch
        self.channels = pictures.shape[1]
        self.features = self.channels * patch * patch
        self.classes, self.chance = classes, 1 / classes
        self.photographs, self.leveled, self.noise = pictures, leveled, noise

    @abstractmethod
    def compose(self, target: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """What target [samples] shows: photograph [samples], and places [samples, cells] or None."""

    def sample(self, split: Split, count: int, seed: int) -> CropSamples:
        first, last = BANDS[split]
        beyond = (last - self.size[0] + 1, SIDE - self.size[1] + 1)

        def chunk(draw: np.random.Generator) -> tuple[np.ndarray, ...]:
            target = draw.permuted(np.tile(np.arange(self.classes), (BLOCKS, 1)), axis=1).ravel()
            corners = draw.integers((first, 0), beyond, size=(len(target), 2))
            return tuple(each for each in (target, corners, *self.compose(target, draw)) if each is not None)

        size = BLOCKS * self.classes
        target, corners, photograph, *moved = in_chunks(chunk, count, part="crops", split=split, seed=seed, size=size)
        return CropSamples(
            task=self,
            target=target.astype(np.int64),
            photograph=photograph,
            corners=corners,
            places=moved[0] if moved else None,
            noise_seed=noise_seed_of(split, seed),
        )
