"""Deciding between two cells seed by seed: an interval that holds although one looks after every seed.

For differences d_1, d_2, ... of paired seeds, a centre c and a scale b > 0, the capital

    K_t(c) = mean over b of prod_{i <= t} (1 + tanh(b (d_i - c)))

is what a gambler has who starts with 1 and bets that differences lie above c. Where they are symmetric about c no
factor is worth more than 1 on average, so by Ville's inequality the capital ever reaches 1 / a with probability a at
most, whenever one looks and however one decides to go on. It falls as c rises, so the centres that neither side has bet
down are an interval, and it needs no scale, no normality and no range: with small b the bet is on the mean, with large
b on the signs. Symmetric differences are what two cells have that are alike (swap them and nothing changes): the
assumption of the sign-flip test too. `tests/benchmarks/sequential_contenders.py` compares it with other ways.

What no method can do with so few seeds is to bound the mean whatever the distribution: where one seed in 100 differs by
1 and the others not at all, the mean is .01 and 64 seeds show no difference more often than not. So the interval is one
of the centre, and an equivalence says beside it how rare such seeds must be (`rare_share`).

Source: J. Ville (1939) for the inequality; betting: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
variables by betting", arXiv 2010.09686; bets on symmetry: V. de la Pena, "A general class of exponential inequalities
for martingales and ratios", Annals of Probability 27 (1999) (all from memory; tests hold the property itself).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import optimize, special

SCALES = 2.0 ** np.arange(11)
"""Of the bets: one over the differences that they weigh, from 1 (all that accuracies can differ) to 1/1024 (two samples
of a test set of 2,048)."""

RARE = 0.2
"""Nothing is called equivalent before seeds that differ by more, if they were this share, would have shown up."""


class Decision(StrEnum):
    """What is known of the second cell beside the first."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """A comparison that was looked at after every seed.

    decision: at the first seed at which there is one. seeds: how many it took, or all there are. effect: mean
    difference of these, second minus first. low, high: what is left of the centre at `level`, over all looks until
    then; -inf and inf where nothing is excluded. rare_share: the largest share of seeds that may lie farther than the
    margin from 0 and not be seen more often than here with probability 1 - level, or None where there was no seed.
    """

    decision: Decision
    seeds: int
    effect: float
    low: float
    high: float
    margin: float
    level: float
    rare_share: float | None = None

    @property
    def decided(self) -> bool:
        return self.decision is not Decision.UNDECIDED


def log_capital(differences: np.ndarray, centre: float, side: int = 1) -> np.ndarray:
    """Logarithm of the capital after every seed.

    Args:
        differences: [..., seeds]. centre: bet against. side: 1 bets that differences lie above it, -1 below.

    Returns:
        [..., seeds].

    >>> np.exp(log_capital(np.array([0.4, 0.4, 0.4]), 0.0)).round(1).tolist()  # never quite twice as much
    [1.9, 3.7, 7.1]
    """
    bets = 2 * side * (np.asarray(differences, dtype=np.float64)[..., None] - centre) * SCALES
    # 1 + tanh(x) = 2 / (1 + exp(-2 x)), whose logarithm is exact far out as well.
    steps = math.log(2) - np.logaddexp(0.0, -bets)
    return special.logsumexp(np.cumsum(steps, axis=-2), axis=-1) - math.log(len(SCALES))


def decide(differences: Sequence[float], *, margin: float, level: float = 0.05) -> Sequential:
    """Look after every seed and stop at the first decision.

    Equivalent: the interval lies within the margin, so does the mean, and enough seeds were seen (`RARE`). Better or
    worse: 0 is outside, and the mean is on the same side. All three are wrong together with probability `level` at
    most, for symmetric differences.

    Args:
        differences: second cell minus first, a paired seed each, in the order of the seeds.
        margin: the difference that does not matter. level: of this comparison (see `decide_family`).

    >>> decide([0.4] * 10, margin=0.01).decision, decide([0.4] * 10, margin=0.01).seeds
    (<Decision.BETTER: 'better'>, 6)
    >>> decide([0.0] * 20, margin=0.01).decision
    <Decision.EQUIVALENT: 'equivalent'>
    """
    assert margin > 0 and 0 < level < 1
    d = np.asarray(differences, dtype=np.float64)
    stop, decision = _stop(d, margin, level)
    used = d[:stop]
    if not stop:
        return Sequential(
            decision=decision, seeds=0, effect=math.nan, low=-math.inf, high=math.inf, margin=margin, level=level
        )
    return Sequential(
        decision=decision,
        seeds=stop,
        effect=float(used.mean()),
        low=_bound(used, level, 1),
        high=_bound(used, level, -1),
        margin=margin,
        level=level,
        rare_share=share_bound(int((np.abs(used) > margin).sum()), stop, level),
    )


def _stop(d: np.ndarray, margin: float, level: float) -> tuple[int, Decision]:
    """The number of seeds at the first decision, or all of them, and the decision."""
    ones = decisions(d[None], margin=margin, level=level)[0] if len(d) else np.zeros(0, dtype=int)
    found = np.flatnonzero(ones)
    if not len(found):
        return len(d), Decision.UNDECIDED
    return int(found[0]) + 1, _CODES[int(ones[found[0]])]


_CODES = {1: Decision.BETTER, -1: Decision.WORSE, 2: Decision.EQUIVALENT, 0: Decision.UNDECIDED}


def decisions(differences: np.ndarray, *, margin: float, level: float) -> np.ndarray:
    """What each look would say: 1 better, -1 worse, 2 equivalent, 0 nothing yet.

    Args:
        differences: [studies, seeds].

    Returns:
        [studies, seeds], whole numbers.
    """
    n = np.arange(1, differences.shape[-1] + 1)
    mean = np.cumsum(differences, axis=-1) / n

    def ever(centre: float, side: int) -> np.ndarray:
        log_enough = math.log(2 / level)
        return np.maximum.accumulate(log_capital(differences, centre, side), axis=-1) >= log_enough

    inside = ever(-margin, 1) & ever(margin, -1) & (np.abs(mean) <= margin) & (n >= seeds_for_rare(level))
    above, below = ever(0.0, 1) & (mean > 0), ever(0.0, -1) & (mean < 0)
    return np.where(inside, 2, np.where(above & ~below, 1, np.where(below & ~above, -1, 0)))


def seeds_for_rare(level: float, share: float = RARE) -> int:
    """So many seeds show at least one of a kind that has this share, but for a probability of `level`.

    >>> seeds_for_rare(0.05)
    14
    """
    return math.ceil(math.log(level) / math.log1p(-share))


def fewest_seeds(level: float) -> int:
    """Fewer cannot decide anything at the level, whatever they show.

    >>> fewest_seeds(0.05)
    6
    """
    return next(n for n in range(1, 10_000) if n * math.log(2) >= math.log(2 / level))


def share_bound(seen: int, n: int, level: float) -> float:
    """Upper Clopper-Pearson bound on a share of which `seen` of `n` were seen.

    >>> round(share_bound(0, 14, 0.05), 2)
    0.19
    """
    return 1.0 if seen == n else float(special.betaincinv(seen + 1, n - seen, 1 - level))


def _bound(d: np.ndarray, level: float, side: int) -> float:
    """The farthest centre that bets of one side have ever bet down; -inf or inf where there is none."""

    def excess(distance: float) -> float:
        """Of a centre that lies so far on the other side of all differences."""
        return float(log_capital(d, edge - side * distance, side).max()) - math.log(2 / level)

    edge, width = float(d.min() if side > 0 else d.max()), float(np.ptp(d)) + 2.0
    if excess(width) < 0:
        return -side * math.inf
    return edge - side * float(optimize.brentq(excess, -width, width, xtol=1e-9))  # type: ignore[arg-type]


def decide_family(
    family: Mapping[str, Sequence[float]], *, margin: float, level: float = 0.05
) -> dict[str, Sequential]:
    """The declared comparisons, each at level / their number (Bonferroni), so that all decisions are right together.

    Holm's rule would pass on the level of those that are decided. That holds where a test can only reject; here one
    that is rightly called equivalent would hand on a level that it may already have been wrong by.

    Args:
        family: differences by the name of the comparison, none for one that has not begun.
    """
    return {name: decide(d, margin=margin, level=level / len(family)) for name, d in family.items()}


def seeds_expected(
    differences: Sequence[float], *, margin: float, level: float, most: int, studies: int = 200, at_least: int = 1
) -> tuple[int, float]:
    """What a comparison will probably take, from differences that are known.

    They are drawn again with replacement, blurred by a fifth of their spread, for so many studies. None of these is
    decided before `at_least` seeds.

    Returns:
        the median number of seeds at the decision (`most` where half are not decided), and the share that is decided.

    >>> seeds_expected([0.31, 0.42, 0.38], margin=0.01, level=0.05, most=64)
    (6, 1.0)
    """
    known = np.asarray(differences, dtype=np.float64)
    draw = np.random.Generator(np.random.Philox(key=0))
    blur = known.std() / 5
    drawn = draw.choice(known, size=(studies, most)) + draw.normal(0, blur, (studies, most))
    ones = decisions(drawn, margin=margin, level=level) != 0
    ones[:, : at_least - 1] = False
    ends = np.where(ones.any(-1), ones.argmax(-1) + 1, most)
    return int(np.median(ends)), float(ones.any(-1).mean())
