"""Slides on disk in exactly the two formats in which feature bags are published, synthetic ones among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.contracts import Task
from harness.contracts.errors import UserError
from harness.contracts.seeds import generator, seed_of

Format: TypeAlias = Literal["clam", "trident"]

STEP = 512
"""Pixels at level 0 from a tile to the next: 256 pixels at 20x on a scan of 40x."""

FOLDERS: dict[Format, str] = {"clam": "h5_files", "trident": "20x_256px_0px_overlap/features_synthetic"}
"""Where the bags stand below the folder."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide:
    """One slide. features: float32 [tiles, width]. cells: integers [tiles, 2], row and column."""

    name: str
    features: np.ndarray
    cells: np.ndarray


def write_slide(folder: Path, slide: Slide, form: Format, draw: np.random.Generator) -> Path:
    """Write one bag below the folder, as CLAM or TRIDENT would; returns its path."""
    path = folder / FOLDERS[form] / f"{slide.name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "clam":
        order, coordinates = _contour_by_contour(slide.cells, draw)
        coordinates = coordinates.astype(np.int32)
        _write(path, {"features": slide.features[order], "coords": coordinates})
        patches = folder / "patches" / path.name
        patches.parent.mkdir(exist_ok=True)
        _write(patches, {"coords": coordinates}, _clam_attributes(slide, folder))
        return path
    order = np.lexsort((slide.cells[:, 1], slide.cells[:, 0]))
    coordinates = slide.cells[order, ::-1].astype(np.int64) * STEP
    _write(path, {"features": slide.features[order], "coords": coordinates}, _trident_attributes(slide, folder))
    return path


def write_labels(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write labels.csv from (slide, patient, label)."""
    lines = ["slide_id,patient_id,label", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _contour_by_contour(cells: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """CLAM's order and pixels: piece of tissue by piece, column by column, each from an origin of its own."""
    from scipy.ndimage import label

    low = cells.min(axis=0)
    grid = np.zeros(cells.max(axis=0) - low + 1, dtype=bool)
    grid[tuple((cells - low).T)] = True
    pieces: Any = label(grid, structure=np.ones((3, 3)))
    piece = pieces[0][tuple((cells - low).T)]
    order = np.lexsort((cells[:, 0], cells[:, 1], piece))
    # Less than half a step, so that the nearest cell stays the true one.
    origins = draw.integers(0, STEP // 2 - 1, size=(pieces[1] + 1, 2))
    return order, cells[order, ::-1] * STEP + origins[piece[order]]


def _write(path: Path, arrays: dict[str, np.ndarray], attributes: dict[str, Any] | None = None) -> None:
    """Both write arrays that can grow, a row a chunk; attributes stand at the coordinates."""
    import h5py

    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            shape = (None, *array.shape[1:])
            dataset = file.create_dataset(key, data=array, maxshape=shape, chunks=(1, *array.shape[1:]))
            for name, value in (attributes or {}).items() if key == "coords" else ():
                dataset.attrs[name] = value


def _size(cells: np.ndarray) -> tuple[int, int]:
    """Width and height of the slide in pixels of level 0."""
    height, width = ((cells.max(axis=0) + 2) * STEP).tolist()
    return width, height


def _clam_attributes(slide: Slide, folder: Path) -> dict[str, Any]:
    size = _size(slide.cells)
    return {
        "downsample": (1.0, 1.0),
        "downsampled_level_dim": size,
        "level_dim": size,
        "name": slide.name,
        "patch_level": 0,
        "patch_size": STEP,
        "save_path": str(folder / "patches"),
    }


def _trident_attributes(slide: Slide, folder: Path) -> dict[str, Any]:
    width, height = _size(slide.cells)
    return {
        "patch_size": STEP // 2,
        "patch_size_level0": STEP,
        "level0_magnification": 40,
        "target_magnification": 20,
        "overlap": 0,
        "name": slide.name,
        "savetodir": str(folder / Path(FOLDERS["trident"]).parent),
        "level0_width": width,
        "level0_height": height,
    }


SECOND_SLIDES = 4
"""Every so many slides of a class, one is of the patient before: patients and slides are not the same."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was written."""

    patients: int
    tiles: int
    bytes: int


def make_slides(folder: Path, task: Task, count: int, *, form: Format, seed: int) -> Made:
    """Write `count` slides of an irregular task and their labels.csv, one slide in memory at a time.

    Raises:
        UserError: a task whose samples are no sets of tiles.
    """
    if not task.irregular:
        raise UserError("make-slides: the task must draw slides, got one of grids; take synthetic-slides")
    samples = task.sample("train", count, seed_of(kind="slides on disk", seed=seed))
    draw = generator(seed_of(kind="slides on disk", part="origins", seed=seed))
    digits = len(str(count - 1))
    rows: list[tuple[str, str, str]] = []
    met = [0] * task.classes
    patients = tiles = size = 0
    owner = [""] * task.classes
    for index in range(count):
        batch = samples.batch(np.array([index]))
        assert batch.coords is not None
        label = int(batch.target[0])
        if met[label] % SECOND_SLIDES != SECOND_SLIDES - 1:
            owner[label] = f"p{patients:0{digits}d}"
            patients += 1
        met[label] += 1
        slide = Slide(name=f"s{index:0{digits}d}", features=batch.tokens[0], cells=batch.coords[0])
        size += write_slide(folder, slide, form, draw).stat().st_size
        tiles += len(slide.cells)
        rows.append((slide.name, owner[label], str(label)))
    write_labels(folder / "labels.csv", rows)
    return Made(patients=patients, tiles=tiles, bytes=size)
