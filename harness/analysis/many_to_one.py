"""Many against one: every treatment against a baseline, and which may be the best, without all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .statistics import mean_interval

NEAR = 0.01
"""So near to the ceiling a mean counts as there."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """A treatment beside the baseline: mean difference with its simultaneous interval, and Dunnett's p."""

    name: str
    effect: float
    low: float
    high: float
    p: float
    level: float = 0.05

    @property
    def differs(self) -> bool:
        return self.p <= self.level


def against_baseline(scores: np.ndarray, names: Sequence[str], baseline: str, *, level: float = 0.05) -> list[Against]:
    """Every other treatment against a baseline that was named beforehand, by Dunnett's test.

    The level is that of all comparisons together, each of k - 1 instead of k (k - 1) / 2. The test pools one variance
    over all treatments and takes their scores as independent, where seeds that are shared make it say less than it
    could. A baseline that is chosen because it scores best is not one that was named beforehand: see `best_set`.

    Args:
        scores: [seeds, treatments]. names: of the treatments.

    Source: C. W. Dunnett, JASA 50 (1955), by scipy.
    """
    at = list(names).index(baseline)
    others = [number for number in range(len(names)) if number != at]
    control = scores[:, at]
    effects = scores[:, others].mean(0) - control.mean()
    if not others or len(scores) < 2:
        return [_untested(names[i], float(e), level) for i, e in zip(others, effects, strict=True)]
    if np.ptp(scores, axis=0).max() == 0:  # no variance: what differs does so surely
        return [
            Against(name=names[i], effect=float(e), low=float(e), high=float(e), p=float(e == 0), level=level)
            for i, e in zip(others, effects, strict=True)
        ]
    test = stats.dunnett(*scores[:, others].T, control=control, rng=np.random.default_rng(0))
    interval = test.confidence_interval(1 - level)
    return [
        Against(name=names[i], effect=float(e), low=float(low), high=float(high), p=float(p), level=level)
        for i, e, low, high, p in zip(others, effects, interval.low, interval.high, test.pvalue, strict=True)
    ]


def _untested(name: str, effect: float, level: float) -> Against:
    return Against(name=name, effect=effect, low=-np.inf, high=np.inf, p=1.0, level=level)


def best_set(
    scores: np.ndarray, names: Sequence[str], *, chance: float | None = None, level: float = 0.05
) -> tuple[str, ...]:
    """The treatments that may be the best, best first: no other is better by a one-sided Dunnett test against it.

    The true best is among them with probability 1 - level, which is Hsu's multiple comparison with the best in its form
    as a set. Those that are not above chance are left out, whatever else is true, so the set may be empty.

    Args:
        scores: [seeds, treatments], higher is better. chance: accuracy of the best constant guess.

    Source: J. C. Hsu, "Multiple Comparisons" (1996), chapter 4 (from memory); Dunnett's test by scipy.
    """
    kept = []
    flat = len(scores) and np.ptp(scores, axis=0).max() == 0
    for number in range(len(names)):
        if chance is not None and not above_chance(scores[:, number], chance):
            continue
        others = [i for i in range(len(names)) if i != number]
        if flat:
            beaten = any(scores[0, i] > scores[0, number] for i in others)
        elif not others or len(scores) < 2:
            beaten = False
        else:
            rng = np.random.default_rng(0)
            test = stats.dunnett(*scores[:, others].T, control=scores[:, number], alternative="greater", rng=rng)
            beaten = bool((np.atleast_1d(test.pvalue) <= level).any())
        if not beaten:
            kept.append(number)
    ordered: list[int] = sorted(kept, key=lambda i: -float(scores[:, i].mean()))
    return tuple(str(names[i]) for i in ordered)


def above_chance(scores: Sequence[float] | np.ndarray, chance: float) -> bool:
    """Whether the 95% t interval of the mean lies above chance; of a single score, whether it does itself.

    >>> above_chance([0.51, 0.49, 0.5], 0.5), above_chance([0.71, 0.69, 0.7], 0.5)
    (False, True)
    """
    interval = mean_interval(list(map(float, scores)))
    return (interval.low if interval.n > 1 else interval.mean) > chance


def tells_apart(scores: np.ndarray, *, chance: float, ceiling: float = 1.0) -> bool:
    """Whether ranks say something here: not all treatments at the ceiling, not all at chance.

    A task that everybody solves, or nobody, ranks by noise and takes no part in mean ranks over tasks.

    Args:
        scores: [seeds, treatments]. ceiling: the best accuracy to be had.

    >>> tells_apart(np.array([[0.999, 1.0], [1.0, 0.998]]), chance=0.5)
    False
    """
    if not scores.size:
        return False
    solved = bool((scores.mean(0) >= ceiling - NEAR).all())
    return not solved and any(above_chance(column, chance) for column in scores.T)
