"""Labelled images, in memory or in files of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

CACHE_BYTES = 512 * 2**20
"""Decoded files kept in memory; what does not fit is decoded anew each time."""


class Images(ABC):
    """labels: int64 [images]. shape: (channels, height, width) in pixels."""

    labels: np.ndarray
    shape: tuple[int, int, int]

    @abstractmethod
    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: float32 [batch, channels, height, width], 0 black and 1 white."""


class ArrayImages(Images):
    """Images in memory. pixels: [images, channels, height, width], of any type that `unit` knows."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray):
        self.pixels = pixels
        self.labels = labels.astype(np.int64)
        self.shape = pixels.shape[1:]

    def read(self, indices: np.ndarray) -> np.ndarray:
        return unit(self.pixels[indices])


class FileImages(Images):
    """Images in files of their own, decoded when they are asked for. decode: path -> [channels, height, width]."""

    def __init__(
        self,
        paths: Sequence[Path],
        labels: np.ndarray,
        shape: tuple[int, int, int],
        decode: Callable[[Path], np.ndarray],
    ):
        self.paths = paths
        self.labels = labels.astype(np.int64)
        self.shape = shape
        self._decode = decode
        self._kept: dict[int, np.ndarray] = {}
        self._kept_bytes = 0

    def read(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([unit(self._pixels(int(index))) for index in indices])

    def _pixels(self, index: int) -> np.ndarray:
        if index in self._kept:
            return self._kept[index]
        pixels = self._decode(self.paths[index])
        # What came first stays: passes in random order gain nothing from forgetting the oldest.
        if self._kept_bytes + pixels.nbytes <= CACHE_BYTES:
            self._kept[index] = pixels
            self._kept_bytes += pixels.nbytes
        return pixels


def unit(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float32: whole numbers over the largest of their type, truth values 0 and 1, others as they are."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.ascontiguousarray(pixels, dtype=np.float32)
