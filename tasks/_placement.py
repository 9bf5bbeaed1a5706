"""Where a near pair and a far pair go on a line, so that position alone may or may not tell them apart.

Every placement here is the same draw with other weights: the near pair's start from `near_weights`, the far pair's
from `far_weights`, both drawn anew until the four cells are distinct. Its law is therefore

    P(i, j) = near_weights[i] * far_weights[j] / acceptance    over starts i, j whose pairs do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.contracts.errors import UserError

TOLERANCE = 1e-13
"""Largest error in the probability of a start that a solved placement may have."""
LEAST_ROOM = 1e-9
"""A start that is wanted, and leaves the other pair less than this, cannot be had."""
STEPS = 5000
"""Proportional fitting converges in tens of steps where there is room; past this many there is none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairPlacement:
    """The draw of a near and a far pair on `length` cells.

    near_weights: [length - near], far_weights: [length - far]; each sums to one.
    """

    length: int
    near: int
    far: int
    near_weights: np.ndarray
    far_weights: np.ndarray

    def draw(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cells of the near and of the far pair: two of int64 [count, 2], four distinct cells a row."""
        starts = np.empty((count, 2), dtype=np.int64)
        missing = np.arange(count)
        while len(missing):
            both = (self.near_weights, self.far_weights)
            trial = [draw.choice(len(weights), size=len(missing), p=weights) for weights in both]
            starts[missing] = np.stack(trial, axis=1)
            missing = missing[self._meet(*trial)]
        near, far = starts[:, :1], starts[:, 1:]
        return np.concatenate([near, near + self.near], axis=1), np.concatenate([far, far + self.far], axis=1)

    def _meet(self, near: np.ndarray, far: np.ndarray) -> np.ndarray:
        gap = far - near
        return (gap == 0) | (gap == self.near) | (gap == -self.far) | (gap == self.near - self.far)

    def joint(self) -> np.ndarray:
        """P(i, j) [length - near, length - far] over pairs of starts, zero where the pairs meet."""
        weights = np.outer(self.near_weights, self.far_weights)
        weights[self._meet(*np.indices(weights.shape))] = 0
        return weights / weights.sum()


def uniform_placement(length: int, near: int, far: int) -> PairPlacement:
    """The naive draw: uniform over all placements of the two pairs on four distinct cells."""
    near_weights, far_weights = (np.full(starts, 1 / starts) for starts in (length - near, length - far))
    return PairPlacement(length=length, near=near, far=far, near_weights=near_weights, far_weights=far_weights)


@lru_cache(maxsize=64)
def matched_placement(length: int, near: int, far: int) -> PairPlacement:
    """A draw in which the near and the far pair cover every cell with exactly the same probability (ours).

    Take any distribution u and let * be convolution. A near pair whose start follows u * (d_0 + d_far) / 2 and a far
    pair whose start follows u * (d_0 + d_near) / 2 both cover cells with u * (d_0 + d_near) * (d_0 + d_far) / 2. In
    words: a near pair is drawn in the first length - far cells and moved by `far` on a coin's toss; a far pair starts
    at a random cell of another such near pair. u is uniform. Iterative proportional fitting then finds the weights that
    keep these two distributions although pairs that meet are drawn anew.

    Raises:
        UserError: near + far >= length, or so little room that no such draw exists.
    """
    room = length - near - far
    if room > 0:
        start = np.full(room, 1 / room)
        fitted = _fit(_spread(start, far, length - near), _spread(start, near, length - far), near, far)
        if fitted is not None:
            return PairPlacement(length=length, near=near, far=far, near_weights=fitted[0], far_weights=fitted[1])
    raise UserError(
        f"task locality: placement=matched needs room for both pairs at the same cells, got length={length},"
        f" near={near}, far={far}; take length={near + far + 6} or more, a smaller far, or placement=paper"
    )


def _spread(start: np.ndarray, step: int, size: int) -> np.ndarray:
    """`start * (d_0 + d_step) / 2` as an array of `size`."""
    spread = np.zeros(size)
    spread[: len(start)] += start / 2
    spread[step : step + len(start)] += start / 2
    return spread


def _fit(near_target: np.ndarray, far_target: np.ndarray, near: int, far: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights whose product, zero where pairs meet, has the two targets as marginals; None where there are none."""
    near_starts, far_starts = len(near_target), len(far_target)
    # A near pair at i meets the far pairs at i + shift; there are four such shifts, so a step costs O(length).
    shifts = np.array([0, near, -far, near - far])
    meets = np.arange(near_starts)[:, None] + shifts
    inside = (meets >= 0) & (meets < far_starts)
    meets = np.where(inside, meets, 0)
    near_weights, far_weights = near_target, far_target
    for _ in range(STEPS):
        free = far_weights.sum() - np.where(inside, far_weights[meets], 0).sum(axis=1)
        if np.abs(near_weights * free - near_target).max() < TOLERANCE:
            return near_weights / near_weights.sum(), far_weights / far_weights.sum()
        if (free[near_target > 0] < LEAST_ROOM).any():
            return None
        near_weights = np.where(near_target > 0, near_target / free.clip(LEAST_ROOM), 0)
        blocked = np.where(inside, near_weights[:, None], 0)
        free = near_weights.sum() - np.bincount(meets.ravel(), weights=blocked.ravel(), minlength=far_starts)
        if (free[far_target > 0] < LEAST_ROOM).any():
            return None
        far_weights = np.where(far_target > 0, far_target / free.clip(LEAST_ROOM), 0)
    return None
