"""The few kinds of evidence that checks rest on; each is a check that waits for the trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from harness.analysis.ranking import spearman
from harness.analysis.statistics import mean_interval

from ..text import interval_text, span
from .experiment import Check, Judge, Point, Results

Values: TypeAlias = Callable[[Results], Sequence[float]]


def last(p: Point, name: str) -> Values:
    """The last value of a recorded trajectory, trial by trial."""
    return lambda results: results.at(p, name)


def column(p: Point, name: str = "test_accuracy") -> Values:
    """One column of the trials."""
    return lambda results: results.values(p, name)


def mean(*parts: Values) -> Values:
    """The mean of several, trial by trial."""
    return lambda results: [sum(each) / len(each) for each in zip(*(part(results) for part in parts), strict=True)]


def trend(
    points: Sequence[Point], fact: str, statement: str, *, falls: bool = False, name: str = "steps_to_convergence"
) -> Judge:
    """Steps to an end point rise (or fall) with a fact: the 95% interval of Spearman's correlation is on one side of 0.

    Trials that did not arrive rank behind all others, tied.
    """

    def judge(results: Results) -> Check:
        pairs = [
            (p.get(fact), math.inf if record.get(name) is None else record[name])
            for p in points
            for record in results.of(p)
        ]
        if len({x for x, _ in pairs}) < 2 or len(pairs) < 6:
            return Check(statement=statement, holds=None, numbers=f"{len(pairs)} trials")
        x, y = np.array(pairs, dtype=float).T
        rho, low, high = rank_correlation(x, y)
        numbers = (
            f"Spearman {span(rho, low, high, '.2f')} over {len(pairs)} trials, {int(np.isinf(y).sum())} of them without"
            " arrival"
        )
        return Check(statement=statement, holds=high < 0 if falls else low > 0, numbers=numbers)

    return judge


def rank_correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Spearman's rank correlation with a 95% interval (Fisher's z, variance of Bonett and Wright 2000)."""
    if len(np.unique(y)) < 2:
        return 0.0, -1.0, 1.0
    rho = float(spearman(x, y))
    z = math.atanh(max(-0.999999, min(0.999999, rho)))
    reach = 1.96 * math.sqrt((1 + rho**2 / 2) / max(1, len(x) - 3))
    return rho, math.tanh(z - reach), math.tanh(z + reach)


def lies(values: Values, statement: str, *, above: float = -math.inf, below: float = math.inf) -> Judge:
    """The 95% interval of the mean lies within (above, below)."""

    def judge(results: Results) -> Check:
        found = values(results)
        if len(found) < 2:
            return Check(statement=statement, holds=None, numbers=f"{len(found)} trials")
        interval = mean_interval(found)
        numbers = f"{interval_text(interval)}, n={interval.n}"
        return Check(statement=statement, holds=above < interval.low and interval.high < below, numbers=numbers)

    return judge


def exceeds(first: Values, second: Values, statement: str, *, by: float = 0.0) -> Judge:
    """First - second, paired trial by trial, has a 95% interval above `by`; nothing is told where trials miss."""

    def judge(results: Results) -> Check:
        a, b = first(results), second(results)
        if len(a) != len(b):
            return Check(statement=statement, holds=None, numbers=f"{len(a)} and {len(b)} trials do not pair")
        return lies(lambda _: [x - y for x, y in zip(a, b, strict=True)], statement, above=by)(results)

    return judge
