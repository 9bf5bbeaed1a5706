"""Accuracy against throughput: which cells stand on the Pareto front, and of which that is sure.

Both numbers carry intervals: accuracy over seeds, throughput over the samples of one timing session.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .censored import censored_median
from .summary import Row, main_session, tables_of

THROUGHPUT = {"step": "train_tokens_per_second", "forward": "forward_tokens_per_second"}
"""What a timing row calls the tokens (cells) a second of a whole training step, and of inference."""


class Dominance(StrEnum):
    """What the intervals say of a point; `front_of` has the rule."""

    ON_FRONT = "on the front"
    DOMINATED = "dominated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95% interval; low and high are NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def surely_above(self, other: Estimate) -> bool:
        """Whether the intervals lie apart, this one above; never without intervals."""
        return self.low > other.high


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """A cell: accuracy from 0 to 1, throughput in tokens (cells) a second; more of both is better."""

    architecture: str
    scan: str
    accuracy: Estimate
    throughput: Estimate

    def dominates(self, other: ParetoPoint) -> bool:
        """By point estimates: as good in both, better in one."""
        pairs = ((self.accuracy.value, other.accuracy.value), (self.throughput.value, other.throughput.value))
        return all(ours >= theirs for ours, theirs in pairs) and any(ours > theirs for ours, theirs in pairs)

    def surely_dominates(self, other: ParetoPoint) -> bool:
        return self.accuracy.surely_above(other.accuracy) and self.throughput.surely_above(other.throughput)

    def surely_survives(self, other: ParetoPoint) -> bool:
        """Surely better in one of the two, so that the other cannot dominate it."""
        return self.accuracy.surely_above(other.accuracy) or self.throughput.surely_above(other.throughput)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a point stands among others.

    on_front: no other point dominates it, by point estimates alone. verdict: what the intervals allow to say.
    dominated_by: the points that surely dominate it.
    """

    point: ParetoPoint
    on_front: bool
    verdict: Dominance
    dominated_by: tuple[ParetoPoint, ...] = ()


def front_of(points: Sequence[ParetoPoint]) -> list[Standing]:
    """Where every point stands, in the order given.

    - dominated: some other point's lower bounds exceed its upper bounds in accuracy and in throughput.
    - on the front: against every other point its lower bound exceeds the other's upper bound in accuracy or in
      throughput, so that none dominates it whatever the true values within the intervals.
    - undecided: neither; `on_front` then says what the point estimates alone say.

    A point without an interval (one seed) decides nothing and is dominated by none. The intervals are those of the
    single cells, at 95% each and not corrected for their number; that two of them lie apart asks for more than a test
    at .05 does, and for far more where seeds pair the cells.
    """
    standings = []
    for number, point in enumerate(points):
        others = [*points[:number], *points[number + 1 :]]
        above = tuple(other for other in others if other.surely_dominates(point))
        sure = all(point.surely_survives(other) for other in others)
        standings.append(
            Standing(
                point=point,
                on_front=not any(other.dominates(point) for other in others),
                verdict=Dominance.DOMINATED if above else Dominance.ON_FRONT if sure else Dominance.UNDECIDED,
                dominated_by=above,
            )
        )
    return standings


def points_of(rows: Sequence[Row], phase: str = "step") -> list[ParetoPoint]:
    """The points of one table: the cells that have an accuracy, and a speed in the session that timed most of them.

    Speeds of different sessions are not comparable, so cells that another session timed are left out; so are stale
    ones, and cells whose output did not agree with their reference, which have no speed.

    Args:
        rows: of one table. phase: "step" for training, "forward" for inference.
    """
    assert len(tables_of(rows)) <= 1, "cells of different tables are not compared"
    session, name = main_session(rows), THROUGHPUT[phase]
    return [
        ParetoPoint(
            architecture=row.architecture,
            scan=row.scan,
            accuracy=Estimate(value=row.accuracy.mean, low=row.accuracy.low, high=row.accuracy.high),
            throughput=_throughput(row.speed, phase),
        )
        for row in rows
        if row.accuracy.n and not row.stale and row.speed.get(name) and row.speed.get("session") == session
    ]


def _throughput(speed: dict[str, Any], phase: str) -> Estimate:
    """Tokens a second at the median time, and at the bounds of that median's distribution-free interval.

    The interval covers what the session saw; another session on another day may differ by more.
    """
    value, median = speed[THROUGHPUT[phase]], censored_median(speed.get(f"{phase}_samples", []))
    if not median.n or math.isinf(median.high):  # fewer than six samples
        return Estimate(value=value)
    return Estimate(value=value, low=value * median.value / median.high, high=value * median.value / median.low)
