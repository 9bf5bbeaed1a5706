"""Synthetic slides: tissue with holes, lesions that stand together among look-alikes that do not."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.errors import UserError
from harness.contracts.seeds import generator, seed_of
from harness.registry import Range, tasks

from ._chunks import CHUNK
from ._patterns import FIRST_IRRELEVANT, MINUS, PLUS, balanced_labels, class_patterns, irrelevant_patterns
from .slides.padding import padded_batch
from .slides.tissue import largest_grid, lesions, tissue
from .slides.writing import Format, Made, make_slides

ROOM = 8
"""A slide must have so many times the tiles of either set, or draws in which no two tiles meet become rare."""


@tasks.register("synthetic-slides", version=1)
class SyntheticSlides(Task):
    """Locality on a slide: tell which of two kinds of tiles stands in clusters, which is dispersed.

    A slide is a set of tiles on a grid: tissue of an irregular shape, with holes. Among them are clusters * size tiles
    of kind 0 and as many of kind 1. With target 1 kind 0 is clustered (`clusters` windows of window x window cells
    with `size` of its tiles each: lesions) and kind 1 dispersed (each tile from a window of its own: look-alikes); with
    target 0 the other way round. All other tiles are of kinds that tell nothing. Counts tell nothing, and both sets
    are drawn by one law, so places tell next to nothing: only where tiles stand relative to each other does.

    tiles=16, clusters=1, size=2, window=2, kinds as a picture (. is no tissue):       target
        . 5 1 7 . .                                                                    1   (the two 0 in one window)
        4 6 0 . 8 2
        . 3 3 0 4 6
        . . 1 . 7 .

    Features are the kind's direction, one of `kinds` orthonormal ones, and Gaussian noise. Batches hold tokens float32
    [batch, most tiles, dim], zeros behind shorter slides, with `mask` and `coords`.

    Args:
        tiles: of the largest slide. spread: of the smallest, the largest over this; evenly on a logarithmic scale.
        dim: features of a tile. kinds: of tiles, those of the two classes included.
        clusters: lesions of a slide. size: tiles of a lesion. window: cells along a side of its window.
        noise: standard deviation in each feature; the study `slides` chooses it by a rule.

    Raises:
        UserError: more kinds than features, or slides too small for the two sets.

    Source: ours, the slide-sized form of `locality2d`.
    """

    classes, chance = 2, 0.5
    irregular = True
    tests_locality = True

    def __init__(
        self,
        *,
        tiles: Annotated[int, Range(16, 100_000)] = 1000,
        spread: Annotated[float, Range(1, 1000)] = 2.0,
        dim: Annotated[int, Range(3, 4096)] = 32,
        kinds: Annotated[int, Range(3, 255)] = 8,
        clusters: Annotated[int, Range(1, 1000)] = 3,
        size: Annotated[int, Range(2, 100)] = 8,
        window: Annotated[int, Range(2, 16)] = 4,
        noise: Annotated[float, Range(0, 100)] = 0.3,
    ):
        smallest = int(tiles / spread)
        got = f"got clusters={clusters}, size={size}, window={window}, smallest slide {smallest} tiles"
        if kinds > dim:
            raise UserError(
                f"task synthetic-slides: kinds must be at most dim, got kinds={kinds}, dim={dim}; raise dim"
            )
        if size > window**2 // 2:
            raise UserError(
                f"task synthetic-slides: size must be at most half of the window's cells, {got}; take a larger window"
            )
        if smallest < ROOM * clusters * size:
            raise UserError(
                f"task synthetic-slides: a slide must have {ROOM} * clusters * size tiles, {got}; take larger slides"
            )
        self.tiles, self.smallest = tiles, smallest
        self.features, self.kinds, self.noise = dim, kinds, noise
        self.clusters, self.size, self.window = clusters, size, window
        self.grid = (1, round((tiles * smallest) ** 0.5))
        rotation = np.linalg.qr(generator(seed_of(part="directions of kinds", dim=dim)).standard_normal((dim, dim)))[0]
        self.vectors = rotation[:kinds].astype(np.float32)

    @property
    def longest(self) -> int:
        return self.tiles

    def sample(self, split: Split, count: int, seed: int) -> SlideSamples:
        return SlideSamples(self, split, count, seed)

    def write_slides(self, folder: Path, count: int, *, format: Format = "clam", seed: int = 0) -> Made:
        """Write `count` slides and their labels.csv below a folder, one slide in memory at a time.

        Args:
            format: of the feature bags. seed: of the draw, apart from that of any run.
        """
        return make_slides(folder, self, count, form=format, seed=seed)

    def oracle(self, samples: Samples) -> np.ndarray:
        """Nearly the best guess: the kind of which more pairs are less than a window apart is the clustered one."""
        from scipy.ndimage import uniform_filter1d

        assert samples.patterns is not None
        grid = samples.patterns.reshape(-1, *largest_grid(self.tiles))
        near = 2 * self.window - 1

        def pairs(kind: int) -> np.ndarray:
            held = around = (grid == kind).astype(np.float32)
            for axis in (1, 2):
                around = uniform_filter1d(around, size=near, axis=axis, mode="constant")
            return (held * around).sum(axis=(1, 2))

        return (pairs(PLUS) > pairs(MINUS)).astype(np.int64)


class SlideSamples(Samples):
    """Slides, each made anew from a seed of its own when it is asked for."""

    def __init__(self, task: SyntheticSlides, split: Split, count: int, seed: int):
        self.task, self._seed = task, seed_of(part="slides", split=split, seed=seed)
        chunks = [generator(seed_of(part="labels", seed=self._seed, chunk=n)) for n in range(-(-count // CHUNK))]
        self.target: np.ndarray = np.concatenate([balanced_labels(CHUNK, draw) for draw in chunks])[:count]
        share = np.concatenate([draw.random(CHUNK) for draw in chunks])[:count]
        self.lengths: np.ndarray = np.rint(task.smallest * (task.tiles / task.smallest) ** share).astype(np.int64)

    def layout(self, index: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Cells int64 [tiles, 2] and kinds [tiles] of one slide, and the generator, of which its noise comes next."""
        task = self.task
        draw = generator(seed_of(part="slide", seed=self._seed, index=int(index)))
        cells = tissue(int(self.lengths[index]), draw)
        kinds = irrelevant_patterns((1, len(cells)), task.kinds, draw)[0]
        close, apart = lesions(cells, clusters=task.clusters, size=task.size, window=task.window, draw=draw)
        kinds[close], kinds[apart] = class_patterns(self.target[index : index + 1])
        return cells, kinds, draw

    def slide(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 [tiles, dim] and cells int32 [tiles, 2] of one slide, row by row."""
        cells, kinds, draw = self.layout(index)
        features = self.task.vectors[kinds]
        if self.task.noise:
            features += np.float32(self.task.noise) * draw.standard_normal(features.shape, dtype=np.float32)
        return features, cells.astype(np.int32)

    def batch(self, indices: np.ndarray) -> Batch:
        return padded_batch([self.slide(index) for index in indices], self.target[indices])

    @functools.cached_property
    def patterns(self) -> np.ndarray:  # type: ignore[override]
        """uint8 [count, height * width] on one grid for all slides; where there is no tissue, `kinds`."""
        return self._pictures(np.arange(len(self))).reshape(len(self), -1)

    def _pictures(self, indices: np.ndarray) -> np.ndarray:
        height, width = largest_grid(self.task.tiles)
        found = np.full((len(indices), height, width), self.task.kinds, dtype=np.uint8)
        for grid, index in zip(found, indices, strict=True):
            cells, kinds, _ = self.layout(index)
            grid[tuple(cells.T)] = kinds
        return found

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Pictures of slides, float32 [batch, 3, height, width]: glass white, tissue pink, class kinds in colour."""
        colours = np.full((self.task.kinds + 1, 3), (0.93, 0.80, 0.87), dtype=np.float32)
        colours[PLUS], colours[MINUS], colours[-1] = (0.90, 0.40, 0.0), (0.0, 0.35, 0.70), 1.0
        assert self.task.kinds > FIRST_IRRELEVANT
        return np.moveaxis(colours[self._pictures(indices)], -1, 1)
