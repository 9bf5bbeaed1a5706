"""Tissue with holes, and lesions in it (ours).

Tissue is where a smooth random field is largest. Lesions come in clusters, look-alikes one by one, and both by one law:
a look-alike is a random tile of a cluster of its own. So a tile is as likely to be the one as the other wherever it
lies, but for draws that are refused because two tiles meet, which on hundreds of tiles bends next to nothing.
"""

from __future__ import annotations

import math

import numpy as np

from harness.contracts import Grid

FILL = 0.55
"""Share of the bounding grid that is tissue."""

ASPECT = 0.4
"""Of the bounding grid: the largest logarithm of height over width, either way."""

WAVES = 14
"""Cosines along a side: the slow ones make pieces of tissue, the fast ones holes."""


def largest_grid(tiles: int) -> Grid:
    """What every slide of so many tiles or fewer fits into."""
    side = math.ceil(math.sqrt(tiles / FILL * math.exp(ASPECT))) + 1
    return side, side


def tissue(tiles: int, draw: np.random.Generator) -> np.ndarray:
    """Cells of one slide, int64 [tiles, 2], row by row."""
    aspect = math.exp(draw.uniform(-ASPECT, ASPECT))
    height = math.ceil(math.sqrt(tiles / FILL * aspect))
    width = math.ceil(tiles / FILL / height)
    frequency = np.hypot(*np.indices((WAVES, WAVES)))
    waves = draw.standard_normal((WAVES, WAVES)) / (1 + frequency**1.5)
    y, x = ((np.arange(size) + 0.5) / size for size in (height, width))
    k = np.pi * np.arange(WAVES)
    field = np.cos(np.outer(y, k)) @ waves @ np.cos(np.outer(k, x))
    field -= 2 * ((2 * y[:, None] - 1) ** 2 + (2 * x - 1) ** 2)  # glass around the tissue
    chosen = np.sort(np.argpartition(field.ravel(), -tiles)[-tiles:])
    return np.stack(np.divmod(chosen, width), axis=1)


def lesions(
    cells: np.ndarray, *, clusters: int, size: int, window: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the clustered and of the dispersed set: int64 [clusters * size] each, all distinct.

    A cluster: a window of window x window cells with `size` tiles of tissue or more, `size` of them at random.

    Args:
        cells: the tissue's, int64 [tiles, 2].
    """
    height, width = cells.max(axis=0) + 1
    index = np.full((height + window, width + window), -1, dtype=np.int64)  # windows may reach over the edge
    index[tuple(cells.T)] = np.arange(len(cells))
    windows = np.lib.stride_tricks.sliding_window_view(index, (window, window)).reshape(-1, window * window)
    room = _windows_with(index >= 0, window, size)
    count = clusters * size

    def clusters_of(number: int) -> np.ndarray:
        """Tiles [number, size] of so many clusters."""
        tiles = windows[room[draw.integers(0, len(room), size=number)]]
        keys = np.where(tiles >= 0, draw.random(tiles.shape), 2.0)
        return np.take_along_axis(tiles, np.argsort(keys, axis=1)[:, :size], axis=1)

    while True:
        close, apart = clusters_of(clusters).ravel(), clusters_of(count)[:, 0]
        if len(np.unique(np.concatenate([close, apart]))) == 2 * count:
            return close, apart


def _windows_with(present: np.ndarray, window: int, least: int) -> np.ndarray:
    """Flat numbers of the windows that hold so many tiles."""
    sums = np.pad(present, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    held = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    return np.flatnonzero(held >= least)
