"""MedMNIST: small medical images in one npz file a data set."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import numpy as np
from einops import rearrange

from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._files import Stamp, existing, given_folder, reading, stamp
from ._finite import FiniteTask, published_task
from ._image_sets import ArrayImages

SUBJECT = "task medmnist"
SPLITS = ("train", "val", "test")


@tasks.register("medmnist", version=1)
def medmnist(*, root: str = "", name: str = "pathmnist", patch: Annotated[int, Range(1, 224)] = 4) -> FiniteTask:
    """MedMNIST: tell which kind of tissue, cell, organ or finding is on a small medical image.

    name=pathmnist    89,996 / 10,004 / 7,180 pieces of stained colon tissue in colour, 28 x 28 pixels, 9 classes
    name=bloodmnist   11,959 / 1,712 / 3,421 blood cells in colour, 8 classes

    and every other two-dimensional set with one label an image; name=pathmnist_64 and the like are the larger sizes.
    Train, validation and test images are those published, the same for every seed, so intervals over seeds speak of
    training alone. Images are standardized a channel with mean and standard deviation of (1,000 of) the training images
    and cut into patches; a size that patch does not divide is cut down to the middle:

    patch=4: 7 x 7 cells of 48 features in colour, of 16 in gray

    Tokens are float32 [batch, cells, channels * patch * patch]; samples also offer `images(indices)`, float32
    [batch, channels, height * patch, width * patch].

    Args:
        root: the folder that holds the file.
        name: the file's name without .npz.
        patch: pixels along a side of a patch.

    Raises:
        UserError: the file is missing or broken, holds volumes, or more than one label an image (chestmnist).

    Source: MedMNIST v2 (Yang et al., 2023, doi 10.1038/s41597-022-01721-8).
    """
    fetch = f"fetch {name}.npz from https://zenodo.org/records/10519652 into it"
    folder = given_folder(root, subject=SUBJECT, fetch=fetch)
    path = existing(folder, (f"{name}.npz",), subject=SUBJECT, fetch=fetch)
    images, validated, tested, classes = _read(stamp(path))
    return published_task(images, tested=tested, validated=validated, classes=classes, patch=patch, subject=SUBJECT)


@functools.lru_cache(maxsize=2)
def _read(key: Stamp) -> tuple[ArrayImages, int, int, int]:
    """All the images in the order train, validation, test; how many validate and test; the number of classes."""
    path = Path(key[0])
    with reading(path, subject=SUBJECT), np.load(path, allow_pickle=False) as file:
        pixels = [file[f"{split}_images"] for split in SPLITS]
        labels = [file[f"{split}_labels"] for split in SPLITS]
    if any(each.ndim == 2 and each.shape[1] != 1 for each in labels):
        raise UserError(
            f"{SUBJECT}: an image must have one label, got {labels[0].shape[1]} in {path}; take a set of one label"
        )
    if pixels[0].ndim not in (3, 4) or (pixels[0].ndim == 4 and pixels[0].shape[3] != 3):
        raise UserError(
            f"{SUBJECT}: images must be flat, gray or of 3 colours, got {pixels[0].shape[1:]} in {path}; take a 2D set"
        )
    with reading(path, subject=SUBJECT):
        flat = [each.reshape(-1).astype(np.int64) for each in labels]
        counts = [len(each) for each in flat]
        classes = int(flat[0].max()) + 1
        if counts != [len(each) for each in pixels] or min(each.min() for each in flat) < 0:
            raise ValueError(f"{[len(each) for each in pixels]} images with {counts} labels, which are 0 or more")
        if max(each.max() for each in flat) >= classes:
            raise ValueError(f"labels beyond the {classes} classes of the training images")
        stacked = np.concatenate(pixels)
        stacked = stacked[:, None] if stacked.ndim == 3 else rearrange(stacked, "b y x c -> b c y x")
    return ArrayImages(stacked, np.concatenate(flat)), counts[1], counts[2], classes
