"""Several treatments in the same blocks: which are told apart, and whether a figure of theirs predicts their order.

Here a treatment is a scan order and a block is a seed: the same data, batches and initial frame for every order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from .statistics import holm, resampled_t_p

EXACT_ORDERS = 7
"""Up to this many treatments every permutation is counted; beyond, 9,999 are drawn."""

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Treatments ranked within blocks, Friedman's test, and every pair after it.

    means: of the scores, by treatment. mean_ranks: likewise, 1 is best. p: Friedman's. corrected: after Holm over its
    family. pairs: Holm-corrected p of each pair, [treatments, treatments]. n: blocks. reason: why nothing can be
    decided, or None.
    """

    names: tuple[str, ...]
    n: int
    means: tuple[float, ...]
    mean_ranks: tuple[float, ...]
    p: float
    corrected: float
    pairs: np.ndarray
    level: float = 0.05
    reason: str | None = None

    @property
    def decided(self) -> bool:
        """Whether Friedman's test tells that the treatments differ."""
        return self.reason is None and self.corrected <= self.level

    @property
    def tells(self) -> bool:
        """Whether any treatment is told to be worse than the best."""
        return self.decided and len(self.best) < len(self.names)

    @property
    def best(self) -> tuple[str, ...]:
        """The treatment of the best mean and all that are not significantly worse, best first.

        All of them where the test does not tell that any two differ.
        """
        order = sorted(range(len(self.names)), key=lambda i: -self.means[i])
        if not self.decided:
            return tuple(self.names[i] for i in order)
        return tuple(self.names[i] for i in order if i == order[0] or self.pairs[order[0], i] > self.level)

    @property
    def leading(self) -> tuple[str, ...]:
        """Of the best set those whose mean is above that of everyone told to be worse."""
        means = dict(zip(self.names, self.means, strict=True))
        highest_told = max((means[name] for name in self.names if name not in self.best), default=-math.inf)
        return tuple(name for name in self.best if means[name] > highest_told)

    @property
    def scattered(self) -> tuple[str, ...]:
        """The others of the best set: their scores scatter too much to be told, though others above them are."""
        return tuple(name for name in self.best if name not in self.leading)


def rank_treatments(
    scores: np.ndarray, names: Sequence[str], *, level: float = 0.05, resampled: float = 0.0, noun: str = "order"
) -> Ranking:
    """Friedman's test and, where it tells of a difference, every pair by a paired t test with Holm's correction.

    Undecidable are: fewer than three treatments or three blocks, and all scores alike in every block.

    After Friedman's test ranks serve badly for pairs of few treatments in few blocks. With six treatments, five blocks
    and normal scores, two treatments apart from four equal ones, Conover's test tells equal ones apart in 14% of
    studies, Siegel and Castellan's (as Nemenyi's) never, nor what differs clearly; paired t tests in 4%, at .05.

    Args:
        scores: [blocks, treatments], higher is better. A tie takes the mean rank.
        names: of the treatments.
        level: of all tests.
        resampled: as for `statistics.mean_interval`; it corrects the pairs, while Friedman's test takes blocks as
            independent.
        noun: what a treatment is called where nothing can be decided.

    Source: M. Friedman (1937), by scipy; J. Demsar, "Statistical comparisons of classifiers over multiple data sets",
    JMLR 7 (2006), for its use and Holm's.
    """
    n, k = scores.shape
    assert len(names) == k
    ranks = stats.rankdata(-scores, axis=1) if scores.size else np.ones((n, k))
    undecided = Ranking(
        names=tuple(names),
        n=n,
        means=tuple(scores.mean(0).tolist()) if n else (math.nan,) * k,
        mean_ranks=tuple(ranks.mean(0).tolist()) if n else (math.nan,) * k,
        p=1.0,
        corrected=1.0,
        pairs=np.ones((k, k)),
        level=level,
    )
    if k < 3:
        return replace(undecided, reason=f"{k} {noun}{'s' * (k != 1)}, Friedman's test takes three")
    if n < 3:
        return replace(undecided, reason=f"n={n}, at least three seeds are needed")
    if (ranks == ranks[:, :1]).all():
        return replace(undecided, reason=f"all {noun}s score alike in every seed")
    p = float(stats.friedmanchisquare(*ranks.T).pvalue)
    pairs = np.ones((k, k))
    i, j = np.triu_indices(k, 1)
    differences = (scores[:, i] - scores[:, j]).T.tolist()
    pairs[i, j] = pairs[j, i] = holm([resampled_t_p(values, resampled) for values in differences])
    return replace(undecided, p=p, corrected=p, pairs=pairs)


def smallest_friedman_p(n: int, k: int) -> float:
    """The least p of Friedman's test: all blocks rank alike, and its statistic is n (k - 1)."""
    return float(stats.chi2.sf(n * (k - 1), k - 1))


def correct_rankings(family: Sequence[Ranking]) -> list[Ranking]:
    """Correct the Friedman tests of a family by Holm; undecidable ones take no part.

    One that could not have come out significant at the size of its family is undecidable.
    """
    tested = [ranking for ranking in family if ranking.reason is None]
    corrected = iter(holm([ranking.p for ranking in tested]))
    result = []
    for ranking in family:
        if ranking.reason is None:
            p = next(corrected)
            least = smallest_friedman_p(ranking.n, len(ranking.names)) * len(tested)
            hopeless = p > ranking.level and least > ranking.level
            reason = f"n={ranking.n}, the smallest p of {len(tested)} tests is {least:.3g}" if hopeless else None
            ranking = replace(ranking, corrected=p, reason=reason)
        result.append(ranking)
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
    draw = np.random.Generator(np.random.Philox(key=0))
    resampled = []
    for s, f in pairs:
        blocks = draw.integers(len(s), size=(RESAMPLES, len(s)))
        resampled.append(spearman(f[blocks].mean(1), s[blocks].mean(1)))
    means = _mean(np.array(resampled))
    tail = (1 - level) / 2
    few = min(len(s) for s, _ in pairs) < 2
    low, high = (math.nan, math.nan) if few else np.nanquantile(means, [tail, 1 - tail])
    return Correlation(
        rho=rho, low=float(low), high=float(high), p=_permutation_p(pairs, rho), orders=k, tests=len(pairs)
    )


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
    defined = ~np.isnan(values)
    count = defined.sum(0)
    return np.where(count > 0, np.where(defined, values, 0.0).sum(0) / np.maximum(count, 1), np.nan)
