"""Several treatments in the same blocks: which differ, and whether a figure of theirs predicts their order.

Here a treatment is a scan order and a block is a seed: the same data, batches and initial frame for every order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np
from scipy import stats

from .many_to_one import above_chance
from .statistics import Verdict, corrected_t_p, holm

EXACT_ORDERS = 7
"""Up to this many treatments every permutation is counted; beyond, 9,999 are drawn."""

RESAMPLES = 2000


class Untestable(Enum):
    """Why Friedman's test cannot find anything."""

    FEW_TREATMENTS = auto()
    FEW_BLOCKS = auto()
    ALL_ALIKE = auto()
    FEW_BLOCKS_FOR_FAMILY = auto()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Treatments ranked within blocks, Friedman's test, and every pair after it.

    means: of the scores, by treatment. mean_ranks: likewise, 1 is best. p: Friedman's. corrected: after Holm over its
    family of `tests`. smallest: the least corrected p that so many blocks can reach. pairs: Holm-corrected p of each
    pair, [treatments, treatments]. n: blocks. reason: why nothing can be found, or None.
    at_chance: treatments whose interval reaches down to chance; they are never among the best.
    """

    names: tuple[str, ...]
    n: int
    means: tuple[float, ...]
    mean_ranks: tuple[float, ...]
    p: float
    corrected: float
    pairs: np.ndarray
    level: float = 0.05
    reason: Untestable | None = None
    smallest: float = 0.0
    tests: int = 1
    at_chance: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of Friedman's test."""
        if self.reason is not None:
            return Verdict.UNDERPOWERED
        return Verdict.DIFFERENT if self.corrected <= self.level else Verdict.NOT_SIGNIFICANT

    @property
    def decided(self) -> bool:
        """Whether the treatments differ significantly."""
        return self.verdict is Verdict.DIFFERENT

    @property
    def tells(self) -> bool:
        """Whether any treatment is significantly worse than the best."""
        return self.decided and 0 < len(self.best) < len(self.names)

    @property
    def best(self) -> tuple[str, ...]:
        """The treatment of the best mean and all that are not significantly worse, best first.

        All of them where the treatments do not differ significantly. Nothing at chance is among them, so there may be
        none.
        """
        first, *others = sorted(range(len(self.names)), key=lambda i: -self.means[i])
        alike = [i for i in others if not self.decided or self.pairs[first, i] > self.level]
        return tuple(name for name in (self.names[i] for i in (first, *alike)) if name not in self.at_chance)

    @property
    def leading(self) -> tuple[str, ...]:
        """Of the best set those whose mean is above that of everyone significantly worse."""
        means = dict(zip(self.names, self.means, strict=True))
        worse = [name for name in self.names if name not in self.best and name not in self.at_chance]
        highest_worse = max((means[name] for name in worse), default=-math.inf)
        return tuple(name for name in self.best if means[name] > highest_worse)

    @property
    def scattered(self) -> tuple[str, ...]:
        """The others of the best set: not significantly worse, though some above them are, because scores scatter."""
        return tuple(name for name in self.best if name not in self.leading)


def rank_treatments(
    scores: np.ndarray,
    names: Sequence[str],
    *,
    level: float = 0.05,
    test_train_ratio: float = 0.0,
    chance: float | None = None,
) -> Ranking:
    """Friedman's test and, where it finds a difference, every pair by a paired t test with Holm's correction.

    Untestable are: fewer than three treatments or three blocks, and all scores alike in every block.

    After Friedman's test ranks serve badly for pairs of few treatments in few blocks. With six treatments, five blocks
    and normal scores, two treatments apart from four equal ones, Conover's test finds equal ones different in 14% of
    studies, Siegel and Castellan's (as Nemenyi's) never, nor what differs clearly; paired t tests in 4%, at .05.

    Args:
        scores: [blocks, treatments], higher is better. A tie takes the mean rank.
        names: of the treatments.
        level: of all tests.
        test_train_ratio: as for `statistics.mean_interval`; it corrects the pairs, while Friedman's test takes blocks
            as independent.
        chance: accuracy of the best constant guess; what is not above it does not lead.

    Source: M. Friedman (1937), by scipy; J. Demsar, "Statistical comparisons of classifiers over multiple data sets",
    JMLR 7 (2006), for its use and Holm's.
    """
    n, k = scores.shape
    assert len(names) == k
    ranks = stats.rankdata(-scores, axis=1) if scores.size else np.ones((n, k))
    untested = Ranking(
        names=tuple(names),
        n=n,
        means=tuple(scores.mean(0).tolist()) if n else (math.nan,) * k,
        mean_ranks=tuple(ranks.mean(0).tolist()) if n else (math.nan,) * k,
        p=1.0,
        corrected=1.0,
        pairs=np.ones((k, k)),
        level=level,
        at_chance=() if chance is None or not n else _at_chance(scores, names, chance),
    )
    if k < 3 or n < 3:
        return replace(untested, reason=Untestable.FEW_TREATMENTS if k < 3 else Untestable.FEW_BLOCKS)
    if (ranks == ranks[:, :1]).all():
        return replace(untested, reason=Untestable.ALL_ALIKE)
    p = float(stats.friedmanchisquare(*ranks.T).pvalue)
    pairs = untested.pairs.copy()
    i, j = np.triu_indices(k, 1)
    differences = (scores[:, i] - scores[:, j]).T.tolist()
    pairs[i, j] = pairs[j, i] = holm([corrected_t_p(values, test_train_ratio) for values in differences])
    return replace(untested, p=p, corrected=p, pairs=pairs)


def _at_chance(scores: np.ndarray, names: Sequence[str], chance: float) -> tuple[str, ...]:
    return tuple(name for name, column in zip(names, scores.T, strict=True) if not above_chance(column, chance))


def smallest_friedman_p(n: int, k: int) -> float:
    """The least p of Friedman's test: all blocks rank alike, and its statistic is n (k - 1)."""
    return float(stats.chi2.sf(n * (k - 1), k - 1))


def correct_rankings(family: Sequence[Ranking]) -> list[Ranking]:
    """Correct the Friedman tests of a family by Holm; untestable ones take no part.

    One that could not have come out significant at the size of its family is untestable too.
    """
    result = list(family)
    tested = [number for number, ranking in enumerate(family) if ranking.reason is None]
    for number, p in zip(tested, holm([family[number].p for number in tested]), strict=True):
        ranking = family[number]
        least = smallest_friedman_p(ranking.n, len(ranking.names)) * len(tested)
        reason = Untestable.FEW_BLOCKS_FOR_FAMILY if min(p, least) > ranking.level else None
        result[number] = replace(ranking, corrected=p, reason=reason, smallest=least, tests=len(tested))
    return result


def critical_difference(n: int, k: int, *, level: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks of k treatments in n blocks.

    Source: Demsar (2006), section 3.2.2: q sqrt(k (k + 1) / (6 n)), q the studentized range over sqrt 2.
    """
    q = float(stats.studentized_range.ppf(1 - level, k, 1e6)) / math.sqrt(2)  # a million degrees for infinitely many
    return q * math.sqrt(k * (k + 1) / (6 * n))


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation over treatments, its bootstrap interval over blocks and its permutation p.

    rho is NaN where either side is constant. tests: of how many it is the mean.
    """

    rho: float
    low: float
    high: float
    p: float
    orders: int
    tests: int = 1


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis, NaN where one side is constant.

    >>> float(spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])))
    1.0
    """
    a, b = (stats.rankdata(values, axis=-1) for values in np.broadcast_arrays(x, y))
    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (a, b))
    scale = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-9, (a * b).sum(-1) / scale, np.nan)


def correlate(scores: Sequence[np.ndarray], figures: Sequence[np.ndarray], *, level: float = 0.95) -> Correlation:
    """Does a figure of the treatments predict the order of their mean scores? The mean of Spearman's rho over tests.

    Args:
        scores: for each test (a task, say) [blocks, treatments]; the same treatments in all.
        figures: for each test [blocks, treatments], or [treatments] where it does not depend on the block.
        level: coverage of the interval: percentile bootstrap over blocks, scores and figure resampled together. With
            few blocks it covers less than it says.

    Returns:
        rho, interval, and the two-sided p that the treatments' names are exchangeable: the figures are permuted over
        treatments, in all tests alike. Exact up to seven treatments.
    """
    k = scores[0].shape[1]
    pairs = [(s, np.broadcast_to(f, s.shape)) for s, f in zip(scores, figures, strict=True)]
    rho = float(_mean(np.array([spearman(f.mean(0), s.mean(0)) for s, f in pairs])))
    if math.isnan(rho):
        return Correlation(rho=math.nan, low=math.nan, high=math.nan, p=1.0, orders=k, tests=len(pairs))
    low = high = math.nan
    if min(len(s) for s, _ in pairs) > 1:
        draw = np.random.Generator(np.random.Philox(key=0))
        drawn = [(s, f, draw.integers(len(s), size=(RESAMPLES, len(s)))) for s, f in pairs]
        means = _mean(np.array([spearman(f[blocks].mean(1), s[blocks].mean(1)) for s, f, blocks in drawn]))
        tail = (1 - level) / 2
        low, high = map(float, np.nanquantile(means, [tail, 1 - tail]))
    return Correlation(rho=rho, low=low, high=high, p=_permutation_p(pairs, rho), orders=k, tests=len(pairs))


def _permutation_p(pairs: Sequence[tuple[np.ndarray, np.ndarray]], rho: float) -> float:
    k = pairs[0][0].shape[1]
    if k <= EXACT_ORDERS:
        permutations, extra = np.array(list(itertools.permutations(range(k)))), 0
    else:
        draw = np.random.Generator(np.random.Philox(key=1))
        permutations, extra = draw.permuted(np.tile(np.arange(k), (9999, 1)), axis=1), 1
    values = _mean(np.array([spearman(f.mean(0)[permutations], s.mean(0)) for s, f in pairs]))
    return float((np.sum(np.abs(values) >= abs(rho) - 1e-9) + extra) / (len(permutations) + extra))


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean along the first axis of those that are defined; NaN where none is."""
    count = (~np.isnan(values)).sum(0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
