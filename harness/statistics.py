"""Judging: intervals, paired tests, corrections, and what could have been seen at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

EXACT_SIGN_FLIPS = 16
"""Up to this many pairs every sign pattern is counted; beyond, 2^16 are drawn."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its two-sided t interval over seeds; low and high are NaN for a single one."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], level: float = 0.95, *, resampled: float = 0.0) -> Interval:
    """Mean with a t interval. A percentile bootstrap would cover far less at the usual number of seeds.

    Args:
        values: one score a seed.
        level: the coverage that is wanted.
        resampled: test samples over training samples where every seed is another split of the same data: the splits
            share training samples, and the variance of the mean is then var * (1/n + resampled), not var / n; 0 where
            every seed draws data of its own.

    Source: C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003), the
    corrected resampled t test.
    """
    n = len(values)
    if n == 0:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, n=0)
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean=mean, low=math.nan, high=math.nan, n=1)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) * _error_scale(n, resampled))
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def _error_scale(n: int, resampled: float) -> float:
    """Standard error of the mean over standard deviation of the values."""
    return math.sqrt(1 / n + resampled)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two cells, paired seed by seed: effect (second minus first), test and verdict.

    p: two-sided sign-flip permutation p, or that of Nadeau and Bengio's t test where splits share training samples.
    corrected: after Holm over its family. smallest: the least p attainable at this n. detectable: the effect that a
    paired t test would find with power 0.8 at the corrected level. deviation: standard deviation of the differences.
    resampled: as for `mean_interval`.
    """

    effect: Interval
    deviation: float
    p: float
    corrected: float
    smallest: float
    detectable: float
    level: float = 0.05
    undecidable: bool = False
    resampled: float = 0.0

    @property
    def verdict(self) -> str:
        """A difference, none seen, or undecidable: never "no difference"."""
        if self.effect.n < 2:
            return "undecidable at n=1"
        if self.undecidable:
            return f"undecidable at n={self.effect.n} (smallest p {self.smallest:.3g})"
        if self.corrected <= self.level:
            return f"difference, p={self.corrected:.3g}"
        return f"no difference seen, p={self.corrected:.3g}; smaller than {self.detectable:.3f} would be missed"


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the paired sign-flip permutation test on the mean difference.

    Exact up to 16 pairs. Beyond, 65,536 random sign patterns and the observed one.
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n == 0:
        return math.nan
    if n <= EXACT_SIGN_FLIPS:
        signs = np.array(list(itertools.product((1, -1), repeat=n)), dtype=np.float64)
        extra = 0
    else:
        signs = np.random.Generator(np.random.Philox(key=0)).choice((1.0, -1.0), size=(2**16, n))
        extra = 1  # the observed pattern itself, or p could be zero
    # Ties must count as at least as large whatever the rounding.
    as_large = np.abs(signs @ d) >= abs(d.sum()) - 1e-12 * np.abs(d).sum()
    return float((as_large.sum() + extra) / (len(signs) + extra))


def resampled_t_p(differences: Sequence[float], resampled: float) -> float:
    """Two-sided p of the corrected resampled t test on the mean difference; see `mean_interval`."""
    n = len(differences)
    if n < 2:
        return 1.0 if n else math.nan
    mean, error = float(np.mean(differences)), float(np.std(differences, ddof=1)) * _error_scale(n, resampled)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, n - 1))


def smallest_p(n: int) -> float:
    """The least two-sided p that the sign-flip test can reach with n pairs."""
    return 2.0**-n * 2 if n <= EXACT_SIGN_FLIPS else 1 / (2**16 + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = running
    return corrected.tolist()


def detectable_effect(deviation: float, n: int, level: float, power: float = 0.8, *, resampled: float = 0.0) -> float:
    """The smallest true mean difference that a two-sided paired t test finds with the given power.

    Args:
        deviation: standard deviation of the differences. n: pairs. level: the (corrected) level. resampled: as for
            `mean_interval`.
    """
    if n < 2:
        return math.inf
    if deviation == 0:
        return 0.0
    low, high = 0.0, _most_errors(n, level)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, level) < power else (low, middle)
    return float(high * deviation * _error_scale(n, resampled))


def _power(errors: float, n: int, level: float) -> float:
    """Of the two-sided t test of n differences whose true mean is so many standard errors from 0."""
    critical = float(stats.t.ppf(1 - level / 2, n - 1))
    wrong_side = stats.nct.cdf(-critical, n - 1, errors)  # NaN where it is too small for scipy
    return float(stats.nct.sf(critical, n - 1, errors) + np.nan_to_num(wrong_side))


def _most_errors(n: int, level: float) -> float:
    """So many standard errors are always found; beyond, the noncentral t distribution is not to be had."""
    return float(stats.t.ppf(1 - level / 2, n - 1)) + 50.0


def seeds_to_find(
    effect: float, deviation: float, level: float, power: float = 0.8, *, resampled: float = 0.0, most: int = 100_000
) -> int | None:
    """How many seeds it takes to find a true mean difference of `effect` with the given power.

    The inverse of `detectable_effect`, and never fewer than the sign-flip test needs to reach the level at all. None
    where `most` do not suffice; where splits share training samples (`resampled`), none may.

    >>> seeds_to_find(0.02, deviation=0.02, level=0.05)
    10
    """

    def suffice(n: int) -> bool:
        if not resampled and smallest_p(n) > level:
            return False
        error = deviation * _error_scale(n, resampled)
        return error == 0 or _power(min(effect / error, _most_errors(n, level)), n, level) >= power

    if not suffice(most):
        return None
    low, high = 1, most  # one is never enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffice(middle) else (middle, high)
    return high


def deviation_interval(deviation: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Bounds of the true standard deviation, given that of n normal values; wide for the usual number of seeds."""
    if n < 2:
        return 0.0, math.inf
    low, high = (math.sqrt((n - 1) / stats.chi2.ppf((1 + sign * level) / 2, n - 1)) for sign in (1, -1))
    return float(deviation * low), float(deviation * high)


def compare(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.05, resampled: float = 0.0
) -> Comparison:
    """Compare two cells' scores, paired by position; uncorrected until `correct` has seen its family.

    Args:
        first: a score a seed. second: the other cell's, in the same order of seeds. level: of the verdict.
        resampled: as for `mean_interval`. Where it is not 0 the differences are no independent draws, which flipping
            signs supposes: the test is then Nadeau and Bengio's.
    """
    assert len(first) == len(second)
    differences = (np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)).tolist()
    n = len(differences)
    p = resampled_t_p(differences, resampled) if resampled else sign_flip_p(differences)
    smallest = smallest_p(n) if n < 2 or not resampled else 0.0
    deviation = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    return Comparison(
        effect=mean_interval(differences, resampled=resampled),
        deviation=deviation,
        p=p,
        corrected=p,
        smallest=smallest,
        detectable=detectable_effect(deviation, n, level, resampled=resampled),
        level=level,
        undecidable=smallest > level,
        resampled=resampled,
    )


def correct(family: Sequence[Comparison]) -> list[Comparison]:
    """Correct a family of comparisons by Holm.

    A comparison is undecidable where even its smallest attainable p, corrected as the family's first, is beyond the
    level.
    The detectable effect is that at level / size of the family.
    """
    size = len(family)
    corrected = holm([comparison.p for comparison in family])
    result = []
    for comparison, p in zip(family, corrected, strict=True):
        level = comparison.level / size
        result.append(
            replace(
                comparison,
                corrected=p,
                undecidable=p > comparison.level and comparison.smallest * size > comparison.level,
                detectable=detectable_effect(
                    comparison.deviation, comparison.effect.n, level, resampled=comparison.resampled
                ),
            )
        )
    return result
