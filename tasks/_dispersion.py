"""A concentrated and a dispersed set of cells that cover every cell of a grid equally often (ours).

The concentrated set S: a q x q window placed uniformly inside the grid, then `count` distinct cells chosen uniformly in
it. The dispersed set D: `count` cells, each from a window of its own, then a cell in it, reweighted: independent draws
from one distribution w over cells. If any two of the 2 * count cells coincide, both sets are drawn anew.

Without the reweighting (w = the coverage of a uniform cell in a uniform window) the redrawing would bend the two
coverages differently, and position alone would tell the classes apart a little. `dispersion` solves for the w at which
they are equal, cell by cell. `_coverage` does the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.contracts import Grid
from harness.contracts.errors import UserError

from ._coverage import coverages

TOLERANCE = 1e-12
"""Largest difference between the two coverages of a cell, relative to the largest coverage."""
DAMPING = 0.7
"""Full steps overshoot where a window is nearly filled."""
STEPS = 1000
LEAST_ACCEPTANCE = 1e-3
"""Below this share of accepted draws, sampling takes too long."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dispersion:
    """The solved draw. weights: w [cells], sums to one. windows: int64 [windows, n], the cells of each.

    coverage: [cells], the probability that a cell is in S, which is also the probability that it is in D.
    """

    grid: Grid
    neighbourhood: int
    count: int
    windows: np.ndarray
    weights: np.ndarray
    coverage: np.ndarray
    acceptance: float

    def draw(self, samples: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cells of S and of D: two of int64 [samples, count], all cells of a row distinct, in no particular order."""
        cells = np.empty((samples, 2 * self.count), dtype=np.int64)
        cumulative = np.cumsum(self.weights)
        missing = np.arange(samples)
        while len(missing):
            windows = self.windows[draw.integers(0, len(self.windows), size=len(missing))]
            chosen = np.argsort(draw.random(windows.shape), axis=1)[:, : self.count]
            concentrated = np.take_along_axis(windows, chosen, axis=1)
            places = draw.random((len(missing), self.count)) * cumulative[-1]
            dispersed = np.searchsorted(cumulative, places, side="right")
            cells[missing] = trial = np.concatenate([concentrated, dispersed], axis=1)
            missing = missing[(np.diff(np.sort(trial, axis=1), axis=1) == 0).any(axis=1)]
        return cells[:, : self.count], cells[:, self.count :]

    def log_likelihood(self, concentrated: np.ndarray, dispersed: np.ndarray) -> np.ndarray:
        """Log probability [samples], up to a constant, of the two sets [samples, count]; -inf where impossible."""
        places = zip(np.divmod(concentrated, self.grid[1]), self.grid, strict=True)
        down, across = (_placements(each, size, self.neighbourhood) for each, size in places)
        with np.errstate(divide="ignore"):
            return np.log(down * across) + np.log(self.weights)[dispersed].sum(axis=1)


def _placements(places: np.ndarray, size: int, window: int) -> np.ndarray:
    """How many stretches of `window` cells among `size` hold all places [samples, count] of a row."""
    first = np.maximum(places.max(axis=1) - window + 1, 0)
    last = np.minimum(places.min(axis=1), size - window)
    return np.maximum(last - first + 1, 0)


@lru_cache(maxsize=64)
def dispersion(grid: Grid, neighbourhood: int, count: int) -> Dispersion:
    """Solve for the weights at which both sets cover every cell equally often.

    Raises:
        UserError: the tokens do not fit the window or the grid, or too few draws would be accepted.
    """
    height, width = grid
    got = f"got height={height}, width={width}, neighbourhood={neighbourhood}, count={count}"
    if neighbourhood > min(grid):
        raise UserError(f"task locality2d: neighbourhood must fit into the grid, {got}; take a smaller neighbourhood")
    if count > neighbourhood**2:
        raise UserError(f"task locality2d: count must be at most neighbourhood squared, {got}; take a smaller count")
    inside = np.add.outer(np.arange(neighbourhood) * width, np.arange(neighbourhood)).ravel()
    corners = np.add.outer(np.arange(height - neighbourhood + 1) * width, np.arange(width - neighbourhood + 1)).ravel()
    windows = corners[:, None] + inside
    weights = np.bincount(windows.ravel(), minlength=height * width) / windows.size
    for _ in range(STEPS):
        concentrated, dispersed, accepted = coverages(windows, weights, count)
        if not accepted >= LEAST_ACCEPTANCE:
            break
        if np.abs(concentrated - dispersed).max() <= TOLERANCE * concentrated.max():
            return Dispersion(
                grid=grid,
                neighbourhood=neighbourhood,
                count=count,
                windows=windows,
                weights=weights,
                coverage=concentrated,
                acceptance=accepted,
            )
        weights = weights * (concentrated / dispersed) ** DAMPING
        weights /= weights.sum()
    raise UserError(
        f"task locality2d: both patterns' tokens must find room on distinct cells, {got}; take a larger grid, a smaller"
        f" count or a smaller neighbourhood"
    )
