"""Patterns as pixel textures: an image is painted, noise is added to its pixels, and it is cut into patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import rearrange

from harness.contracts import Batch, Grid, Split
from harness.errors import UserError
from harness.seeds import normal_noise

from ._patterns import FIRST_IRRELEVANT, PatternSamples, PatternTask, noise_seed_of


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


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSamples(PatternSamples):
    """Images of noisy textures. grid: (height, width) in patches; channels; patch: pixels a side."""

    grid: Grid
    channels: int
    patch: int

    def images(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: float32 [batch, channels, height * patch, width * patch], pixel noise included."""
        images = rearrange(
            self.vectors[self.patterns[indices]],
            "b (height width) (c y x) -> b c (height y) (width x)",
            height=self.grid[0],
            c=self.channels,
            y=self.patch,
        )
        if self.noise:
            return images + np.float32(self.noise) * normal_noise(self.noise_seed, indices, images.shape[1:])
        return np.ascontiguousarray(images)

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(tokens=cut_patches(self.images(indices), self.patch), target=self.target[indices])

    def batch_once(self, start: int, stop: int) -> Batch:
        return self.batch(np.arange(start, stop))


class ImageTask(PatternTask):
    """A two-class task whose patterns are textures in an image."""

    def __init__(self, *, subject: str, height: int, width: int, patch: int, channels: int, noise: float):
        self.grid = (height, width)
        self.features = channels * patch * patch
        self.vectors = textures(channels, patch, subject=subject)
        self.noise = noise
        self.channels = channels
        self.patch = patch

    def sample(self, split: Split, count: int, seed: int) -> ImageSamples:
        target, patterns = self._draw(split, count, seed)
        return ImageSamples(
            target=target,
            patterns=patterns,
            vectors=self.vectors,
            noise=self.noise,
            noise_seed=noise_seed_of(split, seed),
            grid=self.grid,
            channels=self.channels,
            patch=self.patch,
        )
