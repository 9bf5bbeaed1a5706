"""What a task owes the harness. numpy only: torch stays out of tasks; the model moves a batch to its device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import UserError

Grid: TypeAlias = tuple[int, int]
"""(height, width) in cells; a sequence is a 1 x L grid."""

Split: TypeAlias = Literal["train", "validation", "test"]


IGNORE_INDEX = -1
"""The target of a cell without one, where targets are per token."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A rendered batch in cell order (row-major on the grid, or on the grid that bounds an irregular set of cells).

    tokens: float32 [batch, cells, features]; of a task with a vocabulary int64 [batch, cells, 1], the id of each token.
    target: int64 [batch], the class of each sequence; or per token, int64 [batch, cells], the class of each cell, and
        IGNORE_INDEX where there is none.
    mask: bool [batch, cells], True where a cell is real; None where all are.
    coords: int [batch, cells, 2], row and column of each cell where the task is irregular; None otherwise. Real cells
        then come first, no two of them in one place.
    """

    tokens: np.ndarray
    target: np.ndarray
    mask: np.ndarray | None = None
    coords: np.ndarray | None = None


class Samples(ABC):
    """Labelled sequences, kept small and rendered a batch at a time.

    Sample i is a function of (task, split, seed, i) alone, its noise included: however batches are cut, it looks the
    same.

    target: int64 [count], or per token [count, cells].
    patterns: integers [count, cells], the pattern in each cell (class patterns first), or None where a task has no
        such thing (photographs). The ceilings are computed from them. Of an irregular task: on one grid that holds
        every sequence, absent cells with a pattern of their own.
    lengths: int64 [count], real cells of each sequence of an irregular task, known without rendering any; None where
        all have as many as the grid.
    streamed: samples are drawn when they are asked for, cheapest in their own order. Those that training sees once
        then come in that order, which is as random as any.
    """

    target: np.ndarray
    patterns: np.ndarray | None = None
    lengths: np.ndarray | None = None
    streamed: bool = False

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
    vocabulary: how many ids tokens have, 0 where tokens are vectors. The model looks a trained vector up for each id;
        features is then 1.
    chance: accuracy of the best constant guess.
    balanced: every class is asked for equally often; where it is the class of a sequence, as evenly as counts allow.
    per_token_targets: some cells of a sequence have a target of their own, [batch, cells], rather than one class for
        the whole sequence. Accuracy is then the share of those cells that are right.
    from_final_step: with per-token targets, every cell's class is to be told from the final step alone: the model reads
        that one out and decodes it cell by cell (compression).
    next_token: a target is the token of the next cell, so that whoever sees later cells reads the answer off: the task
        runs only with causal mixers, along one route that follows the cells.
    tests_locality: claims that only where tokens stand relative to each other tells the classes apart; the contract
        suite then holds the order-blind and the position-marginal ceiling within .02 of chance.
    irregular: every sequence is a set of cells of its own, with holes and of its own number (the tiles of a slide).
        Batches say where they lie; a scan orders each by the order of the grid that bounds it, restricted to it.
    longest: cells of the longest sequence.
    test_train_ratio: test images over training images where the seeds' test sets are folds of one finite set, so that
        their scores depend on each other; 0 for independent draws. The variance of a mean over n seeds is then not
        s^2 / n but s^2 * (1 / n + test_train_ratio) (Nadeau and Bengio, Inference for the generalization error, 2003).
    """

    grid: Grid
    features: int
    classes: int
    chance: float
    vocabulary: int = 0
    balanced: bool = True
    per_token_targets: bool = False
    from_final_step: bool = False
    next_token: bool = False
    tests_locality: bool = False
    irregular: bool = False
    test_train_ratio: float = 0.0

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

    def at_length(self, length: int) -> Task:
        """The same task with sequences of another length, on which a model trained at this one is tested too.

        Raises:
            UserError: the task has no other lengths, or not this one.
        """
        raise UserError(
            f"task {type(self).__name__}: its sequences have one length, got test_length={length}; take none"
        )

    def facts(self) -> dict[str, Any]:
        """What a run's record keeps of its data beyond the spec (which samples were tested on, say), as JSON."""
        return {}

    def oracle(self, samples: Samples) -> np.ndarray | None:
        """The best guess for each sample given its noise-free patterns and their places, as `samples.target`, or None.

        Of per-token targets, guesses at cells without one are not looked at.
        """
        return None
