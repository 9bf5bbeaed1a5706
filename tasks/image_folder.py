"""Any pictures in class folders on disk."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import numpy as np

from harness.contracts import Split
from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._files import given_folder, order_by_name
from ._finite import FiniteTask, stratified_parts
from ._image_sets import FileImages
from ._pictures import SUFFIXES, fit_picture, read_picture

SUBJECT = "task image-folder"
FETCH = "make a folder with a subfolder of pictures for each class"
SHARES: dict[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
CARVED: dict[Split, float] = {"validation": 0.1, "train": 0.9}
"""Of the train folder, where there is no val folder."""

OWN_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}


@tasks.register("image-folder", version=1)
def image_folder(
    *,
    root: str = "",
    height: Annotated[int, Range(1, 128)] = 8,
    width: Annotated[int, Range(1, 128)] = 8,
    patch: Annotated[int, Range(1, 64)] = 4,
    channels: Annotated[int, Range(0, 4)] = 0,
) -> FiniteTask:
    """Your own pictures: tell which class folder a picture comes from.

    A folder with a subfolder a class, classes in the order of their names; pictures anywhere below it, of any size, in
    any format that scikit-image reads, 8 or 16 bit:

    root/cat/1.png        or        root/train/cat/1.png
    root/cat/more/2.jpg             root/val/cat/2.png      (or validation; may be left out)
    root/dog/1.tif                  root/test/dog/1.tif

    With train and test folders these are the splits, and without a val folder a tenth of each class in train validates.
    Otherwise each class is split 70 / 10 / 20 by a hash of its pictures' names, so that it never depends on how a
    folder is listed. Pictures are resized (smoothed first where they shrink) to height * patch x width * patch pixels,
    standardized a channel with mean and standard deviation of training pictures (1,000 at most), and cut into patches.
    They are read when they are needed and kept, up to 512 MiB. The test pictures are the same for every seed, so
    intervals over seeds speak of training alone.

    Tokens are float32 [batch, height * width, channels * patch * patch]; samples also offer `images(indices)`, float32
    [batch, channels, height * patch, width * patch].

    Args:
        root: the folder.
        height: patches from top to bottom.
        width: patches from left to right.
        patch: pixels along a side of a patch.
        channels: 1 gray (luminance), 3 colours, 4 colours and opacity; every picture is converted. 0 takes 1 or 3, as
            the first picture has it; its opacity, if any, is left out.

    Raises:
        UserError: no such folder, too few pictures in a class, a picture that cannot be read.
    """
    if channels == 2:
        raise UserError(f"{SUBJECT}: channels must be 0, 1, 3 or 4, got 2; take 1 for gray")
    folder = given_folder(root, subject=SUBJECT, fetch=FETCH)
    images, parts, classes = _open(folder, _folder_times(folder), height * patch, width * patch, channels)
    return FiniteTask(images, parts=parts, classes=classes, patch=patch, subject=SUBJECT)


def _folder_times(folder: Path) -> tuple[tuple[str, int], ...]:
    """What changes where a picture is added or taken away near the top."""
    near = [folder, *(each for pattern in ("*", "*/*") for each in folder.glob(pattern) if each.is_dir())]
    return tuple(sorted((str(each), each.stat().st_mtime_ns) for each in near))


@functools.lru_cache(maxsize=4)
def _open(
    folder: Path, _: tuple[tuple[str, int], ...], height: int, width: int, channels: int
) -> tuple[FileImages, dict[Split, np.ndarray], int]:
    """The pictures, their splits and the number of classes."""
    own = {split: folder / name for split, names in OWN_FOLDERS.items() for name in names if (folder / name).is_dir()}
    whole = not {"train", "test"} <= set(own)
    classes = _classes(folder if whole else own["train"])
    found = {split: _pictures(each, classes) for split, each in ({"all": folder} if whole else own).items()}
    paths = [path for pictures in found.values() for path, _ in pictures]
    labels = np.array([label for pictures in found.values() for _, label in pictures])
    ends = np.cumsum([len(pictures) for pictures in found.values()])
    parts = dict(zip(found, np.split(np.arange(len(paths)), ends[:-1]), strict=True))
    divided = parts.get("all", parts.get("train"))
    assert divided is not None
    shares = SHARES if whole else {} if "validation" in parts else CARVED
    _check_counts(labels[divided], classes, least=max(1, len(shares)), top=folder if whole else own["train"])
    if shares:
        names = [paths[index].relative_to(folder).as_posix() for index in divided]
        pieces = stratified_parts(labels, divided[order_by_name(names)], tuple(shares.values()))
        parts |= dict(zip(shares, pieces, strict=True))
    if empty := [split for split in SHARES if not len(parts[split])]:
        raise UserError(f"{SUBJECT}: {own[empty[0]]} must hold pictures in class folders, got none; add some")
    channels = channels or (1 if read_picture(paths[0], subject=SUBJECT).shape[2] < 3 else 3)

    def decode(path: Path) -> np.ndarray:
        return fit_picture(read_picture(path, subject=SUBJECT), channels, (height, width))

    splits: dict[Split, np.ndarray] = {split: parts[split] for split in SHARES}
    return FileImages(paths, labels, (channels, height, width), decode), splits, len(classes)


def _classes(top: Path) -> list[str]:
    classes = sorted(each.name for each in top.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(classes) < 2:
        raise UserError(
            f"{SUBJECT}: {top} must hold a subfolder for each of two classes or more, got {len(classes)}; {FETCH}"
        )
    return classes


def _pictures(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """The pictures below the class folders, and their labels."""
    strange = [
        each for each in sorted(folder.iterdir()) if each.is_dir() and each.name[0] != "." and each.name not in classes
    ]
    if strange:
        raise UserError(f"{SUBJECT}: every split must have the train folder's classes, got {strange[0]}; rename it")
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]


def _check_counts(labels: np.ndarray, classes: list[str], *, least: int, top: Path) -> None:
    for name, count in zip(classes, np.bincount(labels, minlength=len(classes)), strict=True):
        if count < least:
            raise UserError(
                f"{SUBJECT}: {top / name} must hold {least} pictures or more, one a split, got {count}; add some"
                f" ({' '.join(SUFFIXES)}), or take the folder away"
            )
