"""Feature bags as CLAM and TRIDENT write them: an HDF5 file a slide, checked in one pass and read when it is needed.

`features` [tiles, width] and `coords` [tiles, 2], x and y in pixels of the full resolution; some collections put a
dimension of one in front. The order in the file means nothing (contour by contour in CLAM, column by column or row by
row in TRIDENT): tiles come out row by row of the grid on which their coordinates lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.contracts.errors import UserError

from .lattice import lattice_of

BLOCK_VALUES = 1 << 22
"""Features are read so many at a time: what is in memory is the slide and no second copy of it."""

Choose = Callable[[np.ndarray], np.ndarray]
"""Cells int32 [tiles, 2], row by row -> the indices to keep, rising."""


class BadBag(UserError):
    """A bag that cannot be used: which file, which key, what was found there."""

    def __init__(self, path: Path, key: str, found: str):
        super().__init__(f"bag {path}, {key}: {found}")
        self.path, self.key, self.found = path, key, found


@dataclass(frozen=True, kw_only=True)
class Bag:
    """What is known of a slide without its features; see `Lattice` for the last three."""

    slide: str
    path: Path
    tiles: int
    width: int
    step: int
    off_lattice: int
    collisions: int


def inspect(path: Path, *, thorough: bool = False) -> Bag:
    """Check a bag and say what it holds. thorough: its features too; otherwise they are checked when they are read.

    Raises:
        BadBag: no file, not HDF5 or cut short, a key is missing, wrong shapes or types, no tiles, coordinates that
            are not whole or occur twice, features that are not finite.
    """
    with _open(path) as file:
        features = _dataset(file, path, "features")
        tiles, width = _shape(features, path, "features")
        lattice = lattice_of(_coordinates(file, path, tiles))
        if thorough:
            for _ in _blocks(features, path, tiles, width):
                pass
    return Bag(
        slide=path.stem,
        path=path,
        tiles=tiles,
        width=width,
        step=lattice.step,
        off_lattice=lattice.off_lattice,
        collisions=lattice.collisions,
    )


def read(bag: Bag, choose: Choose | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A slide's features, float32 [tiles, width], and cells, int32 [tiles, 2], row by row.

    Args:
        choose: which tiles are kept; all unless given.

    Raises:
        BadBag: as `inspect` does where it is thorough.
    """
    with _open(bag.path) as file:
        lattice = lattice_of(_coordinates(file, bag.path, bag.tiles))
        order = np.lexsort((lattice.cells[:, 1], lattice.cells[:, 0]))
        if choose is not None:
            order = order[choose(lattice.cells[order])]
        place = np.full(bag.tiles, -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        features = np.empty((len(order), bag.width), dtype=np.float32)
        for start, block in _blocks(_dataset(file, bag.path, "features"), bag.path, bag.tiles, bag.width):
            to = place[start : start + len(block)]
            features[to[to >= 0]] = block[to >= 0]
    return features, lattice.cells[order]


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The file; whatever HDF5 says of a broken one in one line."""
    import h5py

    if not path.is_file():
        raise BadBag(path, "file", "there is none")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        raise BadBag(path, "file", f"no whole HDF5 file ({str(error).partition(chr(10))[0]})") from error


def _dataset(file: Any, path: Path, key: str) -> Any:
    import h5py

    if key not in file:
        raise BadBag(path, key, f"missing, the file has {', '.join(sorted(file)) or 'nothing'}")
    if not isinstance(file[key], h5py.Dataset):
        raise BadBag(path, key, "a group, where an array must be")
    return file[key]


def _shape(dataset: Any, path: Path, key: str) -> tuple[int, int]:
    """(tiles, columns), without a leading dimension of one."""
    shape = tuple(int(size) for size in dataset.shape)
    if 0 in shape:
        raise BadBag(path, key, f"empty, shape {list(shape)}")
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2:
        raise BadBag(path, key, f"shape {list(shape)}, must be [tiles, columns]")
    if dataset.dtype.kind not in "fiu":
        raise BadBag(path, key, f"type {dataset.dtype}, must be numbers")
    return shape


def _coordinates(file: Any, path: Path, tiles: int) -> np.ndarray:
    dataset = _dataset(file, path, "coords")
    shape = _shape(dataset, path, "coords")
    if shape != (tiles, 2):
        raise BadBag(path, "coords", f"shape {list(shape)}, must be {[tiles, 2]} for {tiles} tiles of features")
    raw = dataset[()].reshape(shape)
    found = raw.astype(np.int64) if np.isfinite(raw).all() else np.zeros(0, dtype=np.int64)
    if not np.array_equal(found, raw):
        raise BadBag(path, "coords", f"type {dataset.dtype} with values that are no whole pixels")
    places, counts = np.unique(found, axis=0, return_counts=True)
    if len(places) < tiles:
        where = f"x, y = {places[counts.argmax()].tolist()} {counts.max()} times"
        raise BadBag(path, "coords", f"duplicated for {tiles - len(places)} of {tiles} tiles, {where}")
    return found


def _blocks(dataset: Any, path: Path, tiles: int, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first tile, features [some tiles, width]), one after the other, each held to be finite."""
    rows = max(1, BLOCK_VALUES // width)
    leading = dataset.ndim == 3
    for start in range(0, tiles, rows):
        block = dataset[0, start : start + rows] if leading else dataset[start : start + rows]
        finite = np.isfinite(block)
        if not finite.all():
            first = start + int((~finite).any(axis=1).argmax())
            raise BadBag(path, "features", f"{(~finite).sum()} values that are not finite, first in tile {first}")
        yield start, block
