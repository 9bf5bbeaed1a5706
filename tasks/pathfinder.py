"""Pathfinder, from the files of the Long Range Arena."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from harness.contracts import Split
from harness.contracts.errors import UserError
from harness.registry import Range, tasks

from ._files import existing, given_folder, order_by_name, reading
from ._finite import FiniteTask, stratified_parts
from ._image_sets import FileImages
from ._pictures import fit_picture, read_picture

SUBJECT = "task pathfinder"
FETCH = (
    "fetch lra_release.gz from https://storage.googleapis.com/long-range-arena/lra_release.gz, unpack it (a tar file)"
    " and take its folder lra_release/lra_release/pathfinder32"
)
SHARES: dict[Split, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@tasks.register("pathfinder", version=1)
def pathfinder(
    *,
    root: str = "",
    difficulty: Literal["curv_baseline", "curv_contour_length_9", "curv_contour_length_14"] = "curv_baseline",
    patch: Annotated[int, Range(1, 256)] = 4,
) -> FiniteTask:
    """Pathfinder: tell whether two dots on a picture of dashed lines are joined by one (1) or not (0).

    About 200,000 gray pictures of 32 x 32 pixels a difficulty (or 64, 128, 256, as the folder has it). 8 of 10 of each
    class train, one validates, one is tested on, by a hash of their names: the Long Range Arena publishes these shares,
    but not which pictures they are. The test pictures are the same for every seed, so intervals over seeds speak of
    training alone. Files without content, of which the release has one, are left out. Pictures are standardized with
    mean and standard deviation of (1,000 of) the training pictures and cut into patches:

    patch=4: 8 x 8 cells of 16 features       patch=1: 32 x 32 cells of one feature, as in the Long Range Arena

    root/curv_baseline/metadata/0.npy, a text file in spite of its name:
        imgs/0 sample_0.png 0 1 ...          picture root/curv_baseline/imgs/0/sample_0.png, target 1 (the fourth word)

    Tokens are float32 [batch, cells, patch * patch]; samples also offer `images(indices)`, float32
    [batch, 1, height * patch, width * patch].

    Args:
        root: the folder of a size, pathfinder32 say, which holds folders of the difficulties.
        difficulty: how long the line is, and so how many others there are; the Long Range Arena scores
            curv_contour_length_14.
        patch: pixels along a side of a patch.

    Raises:
        UserError: files missing or broken.

    Source: Long Range Arena (Tay et al., arXiv 2011.04006), after Linsley et al., arXiv 1805.08315.
    """
    root_folder = given_folder(root, subject=SUBJECT, fetch=FETCH)
    folder = existing(root_folder, (difficulty,), subject=SUBJECT, fetch=FETCH)
    metadata = existing(folder, ("metadata",), subject=SUBJECT, fetch=FETCH)
    images, parts = _open(folder, metadata.stat().st_mtime_ns)
    return FiniteTask(images, parts=parts, classes=2, patch=patch, subject=SUBJECT)


@functools.lru_cache(maxsize=4)
def _open(folder: Path, _: int) -> tuple[FileImages, dict[Split, np.ndarray]]:
    """The pictures and their splits."""
    listed = [entry for path in sorted((folder / "metadata").glob("*.npy")) for entry in read_metadata(path)]
    sizes = {place: _sizes(folder / place) for place in {place for place, _, _ in listed}}
    missing = next((f"{place}/{name}" for place, name, _ in listed if name not in sizes[place]), None)
    if missing or not listed:
        raise UserError(
            f"{SUBJECT}: {folder} must hold the pictures that its metadata names, got"
            f" {'no metadata' if not listed else f'no {missing}'}; {FETCH}"
        )
    kept = [(place, name, label) for place, name, label in listed if sizes[place][name]]
    labels = np.array([label for *_, label in kept])
    order = order_by_name([f"{place}/{name}" for place, name, _ in kept])
    parts = stratified_parts(labels, order, tuple(SHARES.values()))
    if any(len(np.unique(labels[part])) < 2 for part in parts):
        raise UserError(f"{SUBJECT}: {folder} must hold 3 pictures or more of either class, got {len(kept)}; {FETCH}")
    paths = [folder / place / name for place, name, _ in kept]
    side = read_picture(paths[0], subject=SUBJECT).shape[:2]

    def decode(path: Path) -> np.ndarray:
        pixels = read_picture(path, subject=SUBJECT)
        with reading(path, subject=SUBJECT):
            if pixels.shape[:2] != side:
                raise ValueError(f"{pixels.shape[:2]} pixels where others have {side}")
        return fit_picture(pixels, 1, side)

    return FileImages(paths, labels, (1, *side), decode), dict(zip(SHARES, parts, strict=True))


def read_metadata(path: Path) -> list[tuple[str, str, int]]:
    """The lines of a metadata file: (folder of the picture, its name, its label).

    Raises:
        UserError: a line is of another form.
    """
    with reading(path, subject=SUBJECT):
        entries = []
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) < 4 or words[3] not in ("0", "1"):
                raise ValueError(f"the line {line!r} does not say a folder, a name, a number and a label of 0 or 1")
            entries.append((words[0], words[1], int(words[3])))
        return entries


def _sizes(folder: Path) -> dict[str, int]:
    """How many bytes each file has; without the folder there are none."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries}
