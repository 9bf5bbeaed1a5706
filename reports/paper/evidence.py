"""The few kinds of evidence that checks rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from harness.statistics import Interval, mean_interval

from .experiment import Check, Point, Results


def falls_with(
    results: Results, points: Sequence[Point], fact: str, statement: str, *, name: str = "steps_to_convergence"
) -> Check:
    """Steps to an end point fall as a fact rises: Spearman's correlation over trials, its 95% interval below zero."""
    return _trend(results, points, fact, statement, name, sign=-1)


def rises_with(
    results: Results, points: Sequence[Point], fact: str, statement: str, *, name: str = "steps_to_convergence"
) -> Check:
    """Steps to an end point rise with a fact: the interval above zero."""
    return _trend(results, points, fact, statement, name, sign=1)


def _trend(results: Results, points: Sequence[Point], fact: str, statement: str, name: str, sign: int) -> Check:
    """Trials that did not arrive rank behind all others, tied."""
    pairs = [
        (p.get(fact), math.inf if record.get(name) is None else record[name])
        for p in points
        for record in results.of(p)
    ]
    if len({x for x, _ in pairs}) < 2 or len(pairs) < 6:
        return Check(statement=statement, holds=None, numbers=f"{len(pairs)} trials")
    x, y = np.array(pairs, dtype=float).T
    rho, low, high = spearman(x, y)
    missing = int(np.isinf(y).sum())
    numbers = f"Spearman {rho:.2f} [{low:.2f}, {high:.2f}] over {len(pairs)} trials, {missing} of them without arrival"
    return Check(statement=statement, holds=bool(low > 0 if sign > 0 else high < 0), numbers=numbers)


def spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Spearman's rank correlation with a 95% interval (Fisher's z, variance of Bonett and Wright 2000)."""
    if len(np.unique(y)) < 2:
        return 0.0, -1.0, 1.0
    rho = float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    z = math.atanh(max(-0.999999, min(0.999999, rho)))
    reach = 1.96 * math.sqrt((1 + rho**2 / 2) / max(1, len(x) - 3))
    return rho, math.tanh(z - reach), math.tanh(z + reach)


def lies(values: Sequence[float], statement: str, *, above: float = -math.inf, below: float = math.inf) -> Check:
    """The 95% interval of the mean lies within (above, below)."""
    if len(values) < 2:
        return Check(statement=statement, holds=None, numbers=f"{len(values)} trials")
    interval = mean_interval(values)
    return Check(statement=statement, holds=above < interval.low and interval.high < below, numbers=written(interval))


def exceeds(first: Sequence[float], second: Sequence[float], statement: str, *, by: float = 0.0) -> Check:
    """First - second, paired trial by trial, has a 95% interval above `by`; nothing is told where trials miss."""
    if len(first) != len(second):
        return Check(statement=statement, holds=None, numbers=f"{len(first)} and {len(second)} trials do not pair")
    return lies([a - b for a, b in zip(first, second, strict=True)], statement, above=by)


def written(interval: Interval) -> str:
    """Mean and interval in brackets."""
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}], n={interval.n}"
