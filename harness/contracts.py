"""What a task, a scan and an architecture owe the harness. numpy only: torch stays out of tasks and scans.

Arrays are numpy on this side of the model; the model moves a batch to its device. See `harness.mixer` for the contract
of an architecture's module, which is torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Grid: TypeAlias = tuple[int, int]
"""(height, width) in cells; a sequence is a 1 x L grid."""

Split: TypeAlias = Literal["train", "validation", "test"]
Merge: TypeAlias = Literal["mean", "sum", "gated"]


UNASKED = -1
"""The target of a cell at which nothing is asked."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A rendered batch in cell order (row-major on the grid, or on the grid that bounds an irregular set of cells).

    tokens: float32 [batch, cells, features].
    target: int64 [batch], the class of each sequence; or, where the task asks at cells, int64 [batch, cells], the class
        of each cell, and UNASKED where nothing is asked.
    mask: bool [batch, cells], True where a cell is real; None where all are.
    places: int [batch, cells, 2], row and column of each cell where the task is irregular; None otherwise. Real cells
        then come first, no two of them in one place.
    """

    tokens: np.ndarray
    target: np.ndarray
    mask: np.ndarray | None = None
    places: np.ndarray | None = None


class Samples(ABC):
    """Labelled sequences, kept small and rendered a batch at a time.

    Sample i is a function of (task, split, seed, i) alone, its noise included: however batches are cut, it looks the
    same.

    target: int64 [count], or [count, cells] where the task asks at cells.
    patterns: integers [count, cells], the pattern in each cell (class patterns first), or None where a task has no
        such thing (photographs). The ceilings are computed from them. Of an irregular task: on one grid that holds
        every sequence, absent cells with a pattern of their own.
    lengths: int64 [count], real cells of each sequence of an irregular task, known without rendering any; None where
        all have as many as the grid.
    """

    target: np.ndarray
    patterns: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    @abstractmethod
    def batch(self, indices: np.ndarray) -> Batch:
        """Render the samples at `indices` [batch]."""

    def batch_once(self, start: int, stop: int) -> Batch:
        """Render samples start to stop, which nobody will ask for again: noise may be drawn faster, in one stretch."""
        return self.batch(np.arange(start, min(stop, len(self))))


class Task(ABC):
    """Makes labelled grids or sequences of tokens.

    grid: (height, width) in cells; of an irregular task 1 x the cells of a typical sequence. features: width of a
        token. classes: number of classes.
    chance: accuracy of the best constant guess.
    asks_cells: a class is asked for at some cells of a sequence, and targets are [batch, cells], rather than one class
        for the whole sequence. Accuracy is then the share of asked cells that are right.
    tests_locality: claims that only where tokens stand relative to each other tells the classes apart; the contract
        suite then holds the order-blind and the position-marginal ceiling within .02 of chance.
    irregular: every sequence is a set of cells of its own, with holes and of its own number (the tiles of a slide).
        Batches say where they lie; a scan orders each by the order of the grid that bounds it, restricted to it.
    longest: cells of the longest sequence.
    resampled: test images over training images where the seeds' test sets are folds of one finite set, so that their
        scores depend on each other; 0 for independent draws. The variance of a mean over n seeds is then not
        s^2 / n but s^2 * (1 / n + resampled) (Nadeau and Bengio, Inference for the generalization error, 2003).
    """

    grid: Grid
    features: int
    classes: int
    chance: float
    asks_cells: bool = False
    tests_locality: bool = False
    irregular: bool = False
    resampled: float = 0.0

    @property
    def cells(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def longest(self) -> int:
        return self.cells

    @abstractmethod
    def sample(self, split: Split, count: int, seed: int) -> Samples:
        """Draw `count` samples. Train, validation and test are separate draws; `seed` already depends on the task's
        spec and the split, so a task needs no hash of its own.

        A finite task may return fewer. Validation and test then hold each image once at most, a fixed subset where
        `count` is smaller; train holds at most `count` of its images, unless new ones can be made (random crops).
        """

    def for_run(self, seed: int) -> Task:
        """The task as the run with this seed sees it: a cross-validated task returns the fold of that seed."""
        return self

    def facts(self) -> dict[str, Any]:
        """What a run's record keeps of its data beyond the spec (which samples were tested on, say), as JSON."""
        return {}

    def oracle(self, samples: Samples) -> np.ndarray | None:
        """The best guess for each sample given its noise-free patterns and their places, as `samples.target`, or None.

        Where the task asks at cells, guesses at other cells are not looked at.
        """
        return None


Order: TypeAlias = Callable[[int, int], np.ndarray]
"""(height, width) -> integers [cells]: the flat row-major cell visited at each step (a gather index)."""


Segments: TypeAlias = Callable[[int, int], Sequence[int]]
"""(height, width) -> lengths of the sequences into which a route is cut, in its order."""


def one_sequence(height: int, width: int) -> tuple[int, ...]:
    """A route that is not cut."""
    return (height * width,)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """How a grid becomes a sequence: one route or several, and how several are merged.

    orders: one function a route, (height, width) -> gather index [cells]. It may raise Unsupported for a grid that it
        does not fit.
    merge: how the outputs of several routes become one, after each is scattered back to cell order: their mean, their
        sum, or their sum weighted by a gate a route and cell that the model learns (a sigmoid of the mixer's input).
    own_parameters: each route has a mixer of its own instead of sharing one.
    direction_embedding: a vector a route, learned, is added to its tokens, so that a shared mixer knows its direction.
    per_layer: every layer follows one route, cycling through them, instead of all; nothing is merged.
    segments: cuts every route into sequences of their own, between which nothing is mixed.
    """

    orders: tuple[Order, ...]
    merge: Merge = "mean"
    own_parameters: bool = False
    direction_embedding: bool = False
    per_layer: bool = False
    segments: Segments = one_sequence

    def routes(self, grid: Grid) -> np.ndarray:
        """int64 [routes, cells]: `routes[k, t]` is the flat row-major cell that route k visits at step t.

        Its inverse is the rank: `rank[k, routes[k, t]] = t` (`harness.routing.rank_of`).
        """
        height, width = grid
        return np.stack([np.ascontiguousarray(order(height, width), dtype=np.int64) for order in self.orders])

    def segment_lengths(self, grid: Grid) -> tuple[int, ...]:
        """Lengths of the sequences into which every route on this grid is cut; they add up to its cells."""
        return tuple(int(length) for length in self.segments(*grid))
