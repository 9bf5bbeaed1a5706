"""Judging: intervals, paired tests, corrections, and what could have been seen at all."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import optimize, stats

# Ours although libraries have them, by measurement (scipy 1.17, statsmodels 0.15, 15 p, 5 to 30 pairs): Holm is 3,000
# times slower in statsmodels, the sign-flip test 20 to 90 times in scipy (a page takes thousands), and statsmodels'
# TTestPower gives wrong effects at the corrected levels of a family (10 instead of 936 at n=2, 5.5 instead of 32.8 at
# n=3 and .0005). Tests hold them equal to the libraries where those are right.

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


def mean_interval(values: Sequence[float], level: float = 0.95, *, test_train_ratio: float = 0.0) -> Interval:
    """Mean with a t interval. A percentile bootstrap would cover far less at the usual number of seeds.

    Args:
        values: one score a seed.
        level: the coverage that is wanted.
        test_train_ratio: test samples over training samples where every seed is another split of the same data: the
            splits share training samples, and the variance of the mean is then var * (1/n + test_train_ratio), not
            var / n; 0 where every seed draws its own data.

    Source: C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003), the
    corrected resampled t test.
    """
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Interval(mean=mean, low=math.nan, high=math.nan, n=n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) * _error_scale(n, test_train_ratio))
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def _error_scale(n: int, test_train_ratio: float) -> float:
    """Standard error of the mean over standard deviation of the values."""
    return math.sqrt(1 / n + test_train_ratio)


class Verdict(StrEnum):
    """What a test says. A difference that was not seen is never said to be none."""

    DIFFERENT = "significantly different"
    NOT_SIGNIFICANT = "not significant"
    UNDERPOWERED = "underpowered"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two cells, paired seed by seed: effect (second minus first), test and verdict.

    p: two-sided sign-flip permutation p, or that of Nadeau and Bengio's t test where splits share training samples.
    corrected: after Holm over its family. smallest: the least p attainable at this n. detectable: the effect that a
    paired t test would find with power 0.8 at the corrected level. deviation: standard deviation of the differences.
    underpowered: no result could have been significant. test_train_ratio: as for `mean_interval`.
    """

    effect: Interval
    deviation: float
    p: float
    corrected: float
    smallest: float
    detectable: float
    level: float = 0.05
    underpowered: bool = False
    test_train_ratio: float = 0.0

    @property
    def verdict(self) -> Verdict:
        if self.effect.n < 2 or self.underpowered:
            return Verdict.UNDERPOWERED
        return Verdict.DIFFERENT if self.corrected <= self.level else Verdict.NOT_SIGNIFICANT


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the paired sign-flip permutation test on the mean difference.

    Exact up to 16 pairs. Beyond, 65,536 random sign patterns and the observed one.
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n == 0:
        return math.nan
    if n <= EXACT_SIGN_FLIPS:
        signs, extra = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1), 0
    else:
        signs = _random_signs(n).astype(np.float64)
        extra = 1  # the observed pattern itself, or p could be zero
    # Ties must count as at least as large whatever the rounding.
    as_large = np.abs(signs @ d) >= abs(d.sum()) - 1e-12 * np.abs(d).sum()
    return float((as_large.sum() + extra) / (len(signs) + extra))


@functools.lru_cache(maxsize=4)
def _random_signs(n: int) -> np.ndarray:
    """The same patterns for every comparison of n pairs; drawing them takes five times as long as using them."""
    return np.random.Generator(np.random.Philox(key=0)).choice((1.0, -1.0), size=(2**16, n)).astype(np.int8)


def corrected_t_p(differences: Sequence[float], test_train_ratio: float) -> float:
    """Two-sided p of the corrected resampled t test on the mean difference; see `mean_interval`."""
    n = len(differences)
    if n < 2:
        return 1.0 if n else math.nan
    mean, error = float(np.mean(differences)), float(np.std(differences, ddof=1)) * _error_scale(n, test_train_ratio)
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
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)))
    return corrected.tolist()


def detectable_effect(
    deviation: float, n: int, level: float, power: float = 0.8, *, test_train_ratio: float = 0.0
) -> float:
    """The smallest true mean difference that a two-sided paired t test finds with the given power.

    Args:
        deviation: standard deviation of the differences. n: pairs. level: the (corrected) level. test_train_ratio: as
            for `mean_interval`.
    """
    if n < 2:
        return math.inf
    if deviation == 0 or math.isnan(deviation):
        return deviation
    most = _surely_found(n, level, power)
    errors: Any = optimize.brentq(lambda errors: _power(errors, n, level) - power, 0.0, most, xtol=1e-9)
    return float(errors * deviation * _error_scale(n, test_train_ratio))


def _power(errors: float, n: int, level: float) -> float:
    """Of the two-sided t test of n differences whose true mean is so many standard errors from 0.

    By its square, which is a noncentral F: scipy's noncentral t gives NaN far out. Farther out still neither is to be
    had, but the spread of the mean no longer matters beside the mean.
    """
    critical = stats.t.isf(level / 2, n - 1)
    if errors > 1000:
        return float(stats.chi2.cdf((n - 1) * (errors / critical) ** 2, n - 1))
    return float(stats.ncf.sf(critical**2, 1, n - 1, errors**2))


def _surely_found(n: int, level: float, power: float) -> float:
    """So many standard errors have at least the power: the two ways to miss share what is left of 1 equally."""
    rest = (1 - power) / 2
    spread = math.sqrt(stats.chi2.isf(rest, n - 1) / (n - 1))
    return float(stats.t.isf(level / 2, n - 1) * spread + stats.norm.isf(rest))


def seeds_to_find(
    effect: float,
    deviation: float,
    level: float,
    power: float = 0.8,
    *,
    test_train_ratio: float = 0.0,
    most: int = 100_000,
) -> int | None:
    """How many seeds it takes to find a true mean difference of `effect` with the given power.

    The inverse of `detectable_effect`, and never fewer than the sign-flip test needs to reach the level at all. None
    where `most` do not suffice; where splits share training samples (`test_train_ratio`), none may.

    >>> seeds_to_find(0.02, deviation=0.02, level=0.05)
    10
    """

    def suffice(n: int) -> bool:
        if not test_train_ratio and smallest_p(n) > level:
            return False
        error = deviation * _error_scale(n, test_train_ratio)
        if error == 0 or effect / error >= _surely_found(n, level, power):
            return True
        return _power(effect / error, n, level) >= power

    found = 2 + bisect.bisect_left(range(2, most + 1), True, key=suffice)  # one is never enough
    return found if found <= most else None


def deviation_interval(deviation: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Bounds of the true standard deviation, given that of n normal values; wide for the usual number of seeds."""
    if n < 2:
        return 0.0, math.inf
    low, high = (math.sqrt((n - 1) / stats.chi2.ppf((1 + sign * level) / 2, n - 1)) for sign in (1, -1))
    return float(deviation * low), float(deviation * high)


def compare(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.05, test_train_ratio: float = 0.0
) -> Comparison:
    """Compare two cells' scores, paired by position; uncorrected until `correct` has seen its family.

    Args:
        first: a score a seed. second: the other cell's, in the same order of seeds. level: of the verdict.
        test_train_ratio: as for `mean_interval`. Where it is not 0 the differences are no independent draws, which
            flipping signs supposes: the test is then Nadeau and Bengio's.
    """
    assert len(first) == len(second)
    differences = (np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)).tolist()
    n = len(differences)
    p = corrected_t_p(differences, test_train_ratio) if test_train_ratio else sign_flip_p(differences)
    smallest = smallest_p(n) if n < 2 or not test_train_ratio else 0.0
    deviation = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    return Comparison(
        effect=mean_interval(differences, test_train_ratio=test_train_ratio),
        deviation=deviation,
        p=p,
        corrected=p,
        smallest=smallest,
        detectable=detectable_effect(deviation, n, level, test_train_ratio=test_train_ratio),
        level=level,
        underpowered=smallest > level,
        test_train_ratio=test_train_ratio,
    )


def correct(family: Sequence[Comparison]) -> list[Comparison]:
    """Correct a family of comparisons by Holm.

    A comparison is underpowered where even its smallest attainable p, corrected as the family's first, is beyond the
    level. The detectable effect is that at level / size of the family.
    """
    size = len(family)
    return [
        replace(
            each,
            corrected=p,
            underpowered=p > each.level and each.smallest * size > each.level,
            detectable=detectable_effect(
                each.deviation, each.effect.n, each.level / size, test_train_ratio=each.test_train_ratio
            ),
        )
        for each, p in zip(family, holm([comparison.p for comparison in family]), strict=True)
    ]
