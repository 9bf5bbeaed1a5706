"""From tiles' pixel coordinates to cells of a grid: the step is inferred, collisions and strays are counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FREQUENT = 1 / 20
"""Gaps rarer than this share, or met once, are chance meetings of tiles from two contours, not the step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """Tiles on a grid. cells: int32 [tiles, 2], row and column from 0, no two alike, in the order of the coordinates.

    step: pixels between neighbours. off_lattice: tiles whose offset is not that of most; they are in the nearest cell.
    collisions: tiles whose cell was taken; they are in the nearest free one.
    """

    cells: np.ndarray
    step: int
    off_lattice: int
    collisions: int


def step_of(coordinates: np.ndarray) -> int:
    """Pixels from a tile to the next: the smallest frequent gap between successive tiles of one row or column.

    Not their greatest common divisor: CLAM gives every contour a lattice origin of its own. Where no two tiles share a
    row or a column it is the divisor all the same, and 1 for a single tile.

    >>> step_of(np.array([[0, 0], [0, 256], [512, 256]]))
    256
    """
    x, y = coordinates.T
    gaps = np.concatenate([_gaps(x, y), _gaps(y, x)])
    if not len(gaps):
        return int(np.gcd.reduce((coordinates - coordinates.min(axis=0)).ravel())) or 1
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[counts >= max(FREQUENT * len(gaps), min(2, counts.max()))].min())


def lattice_of(coordinates: np.ndarray) -> Lattice:
    """Put tiles on the grid that most of them lie on.

    Args:
        coordinates: int64 [tiles, 2], x and y in pixels, no two alike.
    """
    step = step_of(coordinates)
    offset = coordinates % step
    main = np.array([np.bincount(column).argmax() for column in offset.T])
    off_lattice = int((offset != main).any(axis=1).sum())
    exact = (coordinates - main)[:, ::-1] / step  # row and column
    cells = np.floor(exact + 0.5).astype(np.int64)
    collisions = _part(cells, exact)
    cells -= cells.min(axis=0)
    return Lattice(cells=cells.astype(np.int32), step=step, off_lattice=off_lattice, collisions=collisions)


def _gaps(line: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Distances between successive tiles of one line."""
    order = np.lexsort((along, line))
    same = np.diff(line[order]) == 0
    return np.diff(along[order])[same]


def _part(cells: np.ndarray, exact: np.ndarray) -> int:
    """Move tiles whose cell is taken to the nearest free one, in place; returns how many were moved."""
    _, first = np.unique(cells, axis=0, return_index=True)
    if len(first) == len(cells):
        return 0
    late = np.setdiff1d(np.arange(len(cells)), first)
    late = late[np.lexsort((exact[late, 1], exact[late, 0]))]  # whatever the order in the file
    taken = {(int(row), int(column)) for row, column in cells[first]}
    for tile in late:
        cells[tile] = _nearest_free(exact[tile], taken)
        taken.add((int(cells[tile, 0]), int(cells[tile, 1])))
    return len(late)


def _nearest_free(place: np.ndarray, taken: set[tuple[int, int]]) -> tuple[int, int]:
    row, column = (int(value) for value in np.floor(place + 0.5))
    radius = 1
    while True:
        around = [
            (row + down, column + across)
            for down in range(-radius, radius + 1)
            for across in range(-radius, radius + 1)
            if (row + down, column + across) not in taken
        ]
        if around:
            return min(around, key=lambda cell: ((cell[0] - place[0]) ** 2 + (cell[1] - place[1]) ** 2, cell))
        radius += 1
