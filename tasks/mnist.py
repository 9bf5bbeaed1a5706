"""MNIST, and what is published in the same files: Fashion-MNIST, KMNIST."""

from __future__ import annotations

import functools
import gzip
import struct
from pathlib import Path
from typing import Annotated

import numpy as np

from harness.registry import Range, tasks

from ._files import Stamp, existing, given_folder, reading, stamp
from ._finite import FiniteTask, published_task
from ._image_sets import ArrayImages

SUBJECT = "task mnist"
FETCH = (
    "fetch train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and"
    " t10k-labels-idx1-ubyte.gz from https://ossci-datasets.s3.amazonaws.com/mnist/ into it"
)
UNSIGNED_BYTES = 8
"""The type of all four files, third byte of an idx file."""


@tasks.register("mnist", version=1)
def mnist(*, root: str = "", patch: Annotated[int, Range(1, 28)] = 4) -> FiniteTask:
    """MNIST: tell which of ten digits is written on a small gray image.

    60,000 gray images to train and 10,000 to test, 28 x 28 pixels. A stratified tenth of the former, always the same,
    validates. The published test images are the same for every seed, so intervals over seeds speak of training alone.
    Images are standardized with mean and standard deviation of (1,000 of) the training images and cut into patches; 28
    that patch does not divide is cut down to the middle:

    patch=4: 7 x 7 cells of 16 features       patch=1: 28 x 28 cells of one feature ("sequential MNIST" under rows)

    Fashion-MNIST and KMNIST come in files of the same names and do as well: root says which.

    Tokens are float32 [batch, cells, patch * patch]; samples also offer `images(indices)`, float32
    [batch, 1, height * patch, width * patch].

    Args:
        root: the folder that holds the four files, as they are or unpacked (train-images.idx3-ubyte is understood too).
        patch: pixels along a side of a patch.

    Raises:
        UserError: files missing or broken.

    Source: Gradient-based learning applied to document recognition (LeCun et al., 1998).
    """
    folder = given_folder(root, subject=SUBJECT, fetch=FETCH)
    paths = [
        existing(folder, _spellings(part, kind), subject=SUBJECT, fetch=FETCH)
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    images, tested = _read(tuple(stamp(path) for path in paths))
    return published_task(images, tested=tested, classes=10, patch=patch, subject=SUBJECT)


def _spellings(part: str, kind: str) -> list[str]:
    plain = [f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte"]
    return [name + ending for name in plain for ending in ("", ".gz")]


@functools.lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...]) -> tuple[ArrayImages, int]:
    """All the images, those to test at the end, and how many these are."""
    train, train_labels, test, test_labels = (read_idx(Path(name)) for name, *_ in stamps)
    for pixels, labels, (name, *_) in ((train, train_labels, stamps[1]), (test, test_labels, stamps[3])):
        with reading(Path(name), subject=SUBJECT):
            if len(pixels) != len(labels) or labels.ndim != 1 or not len(labels) or labels.max() > 9:
                raise ValueError(f"{len(labels)} labels for {len(pixels)} images, which should be 0 to 9")
    with reading(Path(stamps[2][0]), subject=SUBJECT):
        pixels = np.concatenate([train, test])[:, None]
        if pixels.ndim != 4:
            raise ValueError("its images should have rows and columns")
    return ArrayImages(pixels, np.concatenate([train_labels, test_labels])), len(test_labels)


def read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes, gzipped or not: uint8, of the shape its header says.

    Raises:
        UserError: the file is broken.
    """
    with reading(path, subject=SUBJECT):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        if zero or kind != UNSIGNED_BYTES:
            raise ValueError("it does not begin as an idx file of unsigned bytes does")
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
