"""When runs take off: steps to solve as a survival curve over seeds, the share that solved, and other budgets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class Share:
    """`solved` of `n` runs, with the exact interval of Clopper and Pearson."""

    solved: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.solved / self.n if self.n else math.nan

    def __str__(self) -> str:
        return f"{self.solved}/{self.n} [{self.low:.2f}, {self.high:.2f}]"


def share_solved(steps: Sequence[float | None], *, level: float = 0.95) -> Share:
    """The share of runs that solved at all; None is a run that did not.

    >>> str(share_solved([100, 250, None, 300, 100]))
    '4/5 [0.28, 0.99]'
    """
    n, solved = len(steps), sum(value is not None for value in steps)
    if not n:
        return Share(solved=0, n=0, low=0.0, high=1.0)
    interval = stats.binomtest(solved, n).proportion_ci(level, method="exact")
    return Share(solved=solved, n=n, low=float(interval.low), high=float(interval.high))


@dataclass(frozen=True, kw_only=True)
class Survival:
    """Kaplan and Meier's estimate of the share of runs that have not solved yet, after each of `steps`.

    steps: where runs solved or were cut off, ascending. unsolved: the share from there on. low, high: pointwise 95%
    interval on the log-log scale; NaN where it is not defined (no run or every run has solved).
    """

    steps: tuple[float, ...]
    unsolved: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def at(self, step: float) -> float:
        """The share that has not solved by a step."""
        before = [share for s, share in zip(self.steps, self.unsolved, strict=True) if s <= step]
        return before[-1] if before else 1.0

    @property
    def median(self) -> float:
        """The first step by which half have solved, or infinity."""
        found = (s for s, share in zip(self.steps, self.unsolved, strict=True) if share <= 0.5)
        return next(found, math.inf)


def survival(steps: Sequence[float | None], ends: Sequence[float]) -> Survival:
    """The survival curve of runs of which some were cut off before they solved.

    Args:
        steps: to solve, None where a run did not. ends: the step at which each run ended, which is all that is known of
            those that did not solve.

    Source: E. L. Kaplan and P. Meier, JASA 53 (1958), by scipy.

    >>> survival([100, 200, None, 200], [500, 500, 150, 500]).unsolved
    (0.75, 0.75, 0.0)
    """
    solved = [float(value) for value in steps if value is not None]
    cut = [float(end) for value, end in zip(steps, ends, strict=True) if value is None]
    if not solved:
        ordered = tuple(sorted(set(cut)))
        ones, unknown = (1.0,) * len(ordered), (math.nan,) * len(ordered)
        return Survival(steps=ordered, unsolved=ones, low=unknown, high=unknown)
    function = stats.ecdf(stats.CensoredData(uncensored=solved, right=cut)).sf
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy's, of ends at which there is no interval
        interval = function.confidence_interval(method="log-log")
    low, high = (tuple(map(float, each.probabilities)) for each in (interval.low, interval.high))
    return Survival(
        steps=tuple(map(float, function.quantiles)),
        unsolved=tuple(map(float, function.probabilities)),
        low=low,
        high=high,
    )


def end_of(record: Mapping[str, Any]) -> int:
    """The step at which a run ended: where it stopped, diverged, or its last."""
    for name in ("stopped_at", "diverged_at", "steps"):
        if record.get(name) is not None:
            return int(record[name])
    return 0


def accuracy_at(record: Mapping[str, Any], step: int) -> float | None:
    """Validation accuracy at a step: the last that was taken until then; None without a curve, or before it begins.

    >>> accuracy_at({"curve": {"step": [0, 100, 200], "validation_accuracy": [0.5, 0.6, 0.9]}}, 150)
    0.6
    """
    curve = record.get("curve") or {"step": [], "validation_accuracy": []}
    taken = zip(curve["step"], curve["validation_accuracy"], strict=True)
    return next((value for s, value in reversed(list(taken)) if s <= step), None)


def reversals(means: Mapping[str, Sequence[float]], *, least: float = 0.01) -> list[tuple[str, str]]:
    """Pairs of names of which each leads the other at some budget, by more than `least` both times.

    Args:
        means: by name, one mean a budget.

    >>> reversals({"retnet": [0.50, 0.96], "mamba": [0.90, 0.92], "lstm": [0.91, 0.99]})
    [('retnet', 'mamba')]
    """
    names, found = list(means), []
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            ahead = [a - b for a, b in zip(means[first], means[second], strict=True)]
            if max(ahead) > least and min(ahead) < -least:
                found.append((first, second))
    return found
