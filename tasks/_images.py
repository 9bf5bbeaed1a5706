"""Patterns as pixel textures: an image is painted, noise is added to its pixels, and it is cut into patches."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from einops import rearrange

from harness.contracts import Batch, Grid, Samples
from harness.contracts.errors import UserError
from harness.contracts.seeds import normal_noise

from ._patterns import FIRST_IRRELEVANT, PatternSamples, PatternTask


def textures(channels: int, patch: int, *, subject: str) -> np.ndarray:
    """Orthonormal textures, float32 [channels * patch * patch - 1, channels * patch * patch].

    Rows of the Walsh-Hadamard matrix where the number of pixels is a power of two, of the orthonormal DCT-II of the
    flattened patch otherwise; the constant one is left out, so that no pattern is mere brightness. A texture has unit
    norm over its patch and mean zero. Pixels run channel by channel, row by row.

    Raises:
        UserError: fewer than four pixel values a patch leave no irrelevant pattern.
    """
    pixels = channels * patch * patch
    if pixels - 1 <= FIRST_IRRELEVANT:
        raise UserError(
            f"{subject}: a patch needs at least 4 values (channels * patch * patch), got channels={channels},"
            f" patch={patch}; take patch=2 or more, or channels=4"
        )
    if pixels & (pixels - 1) == 0:
        from scipy.linalg import hadamard

        basis = hadamard(pixels) / np.sqrt(pixels)
    else:
        from scipy.fft import dct

        basis = np.asarray(dct(np.eye(pixels), norm="ortho", axis=0))
    return basis[1:].astype(np.float32)


def cut_patches(images: np.ndarray, patch: int) -> np.ndarray:
    """Cut images [batch, channels, height * patch, width * patch] into tokens [batch, height * width, features].

    Features are a patch's pixels: channels * patch * patch, channel by channel, row by row.
    """
    from skimage.util import view_as_blocks

    blocks = view_as_blocks(images, (*images.shape[:2], patch, patch))
    return np.ascontiguousarray(rearrange(blocks, "1 1 height width b c y x -> b (height width) (c y x)"))


def joined_patches(tokens: np.ndarray, height: int, patch: int) -> np.ndarray:
    """The inverse of `cut_patches`, a view."""
    layout = "b (height width) (c y x) -> b c (height y) (width x)"
    return rearrange(tokens, layout, height=height, y=patch, x=patch)


def with_noise(images: np.ndarray, noise: float, seed: int, indices: np.ndarray) -> np.ndarray:
    """Images [batch, channels, y, x] and Gaussian noise of this standard deviation in every value."""
    if noise:
        images = images + np.float32(noise) * normal_noise(seed, indices, images.shape[1:])
    return np.ascontiguousarray(images)


class CutSamples(Samples):
    """Images cut into patches. patch: pixels a side."""

    patch: int

    @abstractmethod
    def images(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: float32 [batch, channels, height * patch, width * patch], pixel noise included."""

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(tokens=cut_patches(self.images(indices), self.patch), target=self.target[indices])


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSamples(CutSamples, PatternSamples):
    """Images of noisy textures. grid: (height, width) in patches."""

    grid: Grid
    patch: int

    def images(self, indices: np.ndarray) -> np.ndarray:
        images = joined_patches(self.vectors[self.patterns[indices]], self.grid[0], self.patch)
        return with_noise(images, self.noise, self.noise_seed, indices)

    def batch_once(self, start: int, stop: int) -> Batch:
        return self.batch(np.arange(start, stop))


class ImageTask(PatternTask):
    """A two-class task whose patterns are textures in an image."""

    def __init__(self, *, subject: str, height: int, width: int, patch: int, channels: int, noise: float):
        self.grid = (height, width)
        self.features = channels * patch * patch
        self.vectors = textures(channels, patch, subject=subject)
        self.noise = noise
        self.channels, self.patch = channels, patch
        self.samples = functools.partial(ImageSamples, grid=self.grid, patch=patch)
