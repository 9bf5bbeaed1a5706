"""CIFAR-10, from the files that its authors publish."""

from __future__ import annotations

import functools
import io
import pickle
from pathlib import Path
from typing import Annotated

import numpy as np
from einops import rearrange

from harness.registry import Range, tasks

from ._files import Stamp, existing, given_folder, reading, stamp
from ._finite import FiniteTask, published_task
from ._image_sets import ArrayImages

SUBJECT = "task cifar10"
FETCH = (
    "fetch cifar-10-python.tar.gz or cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it"
)
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
SIDE, CHANNELS, CLASSES = 32, 3, 10


@tasks.register("cifar10", version=1)
def cifar10(*, root: str = "", patch: Annotated[int, Range(1, 32)] = 4) -> FiniteTask:
    """CIFAR-10: tell which of ten kinds of things is on a small photograph in colour.

    50,000 images to train and 10,000 to test, 32 x 32 pixels in colour, equally many of each class. A stratified tenth
    of the former, always the same, validates. The published test images are the same for every seed, so intervals over
    seeds speak of training alone. Images are standardized a channel with mean and standard deviation of (1,000 of) the
    training images and cut into patches; 32 that patch does not divide is cut down to the middle:

    patch=4: 8 x 8 cells of 48 features       patch=1: 32 x 32 cells of 3 features (an image as 1,024 pixels)

    Tokens are float32 [batch, cells, 3 * patch * patch]; samples also offer `images(indices)`, float32
    [batch, 3, height * patch, width * patch].

    Args:
        root: the folder that holds cifar-10-batches-py or cifar-10-batches-bin, or one of these itself.
        patch: pixels along a side of a patch.

    Raises:
        UserError: files missing or broken.

    Source: Learning multiple layers of features from tiny images (Krizhevsky, 2009).
    """
    folder = given_folder(root, subject=SUBJECT, fetch=FETCH)
    if not any((folder / name).exists() for name in ("test_batch", "test_batch.bin")):
        folder = existing(folder, FOLDERS, subject=SUBJECT, fetch=FETCH)
    ending = ".bin" if (folder / "test_batch.bin").exists() else ""
    paths = [existing(folder, (name + ending,), subject=SUBJECT, fetch=FETCH) for name in (*TRAIN, "test_batch")]
    images, tested = _read(tuple(stamp(path) for path in paths))
    return published_task(images, tested=tested, classes=CLASSES, patch=patch, subject=SUBJECT)


@functools.lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...]) -> tuple[ArrayImages, int]:
    """All the images, those of the last file at the end, and how many these are."""
    read = []
    for name, *_ in stamps:
        path = Path(name)
        with reading(path, subject=SUBJECT):
            pixels, labels = read_binary(path) if path.suffix == ".bin" else read_pickle(path)
            if len(pixels) != len(labels) or not len(labels) or min(labels) < 0 or max(labels) >= CLASSES:
                raise ValueError(f"{len(pixels)} images with {len(labels)} labels, which should be 0 to 9")
            pixels = rearrange(pixels, "b (c y x) -> b c y x", c=CHANNELS, y=SIDE, x=SIDE)
        read.append((pixels, np.asarray(labels)))
    pixels, labels = (np.concatenate(pieces) for pieces in zip(*read, strict=True))
    return ArrayImages(pixels, labels), len(read[-1][1])


def read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and 3,072 values: pixels [images, 3072], labels [images]."""
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + CHANNELS * SIDE * SIDE)
    return records[:, 1:], records[:, 0]


def read_pickle(path: Path) -> tuple[np.ndarray, list[int]]:
    """A pickled dictionary of Python 2: pixels [images, 3072], labels [images]."""
    found = ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    return np.asarray(found[b"data"], dtype=np.uint8), list(found[b"labels"])


class ArraysOnly(pickle.Unpickler):
    """Reads containers, numbers, texts and numpy arrays, and nothing that could run code.

    Raises:
        pickle.UnpicklingError: the file asks for anything else.
    """

    def find_class(self, module_name: str, global_name: str) -> object:
        module = module_name.replace("numpy.core", "numpy._core")  # its name since numpy 2
        if (module, global_name) in ARRAYS:
            return super().find_class(module if hasattr(np, "_core") else module_name, global_name)
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which is no array")


ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}
"""What a pickled array is rebuilt with, in old and new pickles."""
