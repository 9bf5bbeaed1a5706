"""What a scan owes the harness: gather indices over a grid, and how several routes become one. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from .task import Grid

Merge: TypeAlias = Literal["mean", "sum", "gated"]

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

        Its inverse is the rank: `rank[k, routes[k, t]] = t` (`harness.contracts.routes.rank_of`).
        """
        height, width = grid
        return np.stack([np.ascontiguousarray(order(height, width), dtype=np.int64) for order in self.orders])

    def segment_lengths(self, grid: Grid) -> tuple[int, ...]:
        """Lengths of the sequences into which every route on this grid is cut; they add up to its cells."""
        return tuple(int(length) for length in self.segments(*grid))
