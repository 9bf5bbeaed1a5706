"""How a claim is judged: four rules, declared before the runs, each a pure function of scores.

Every decision rests on 90% intervals, whose ends are one-sided 95% bounds: a claim is reproduced where the whole
interval says so, not reproduced where the whole interval says the opposite, underpowered otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from harness.analysis.statistics import Interval, mean_interval

LEVEL = 0.90


class Verdict(StrEnum):
    """What is known of a claim here."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDERPOWERED = "underpowered"
    NOT_RUN = "not run here"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A rule's verdict and the numbers behind it: an estimate with its 90% interval over so many seeds.

    measures: `mean`, `difference` or `share`. reason: why a rule came to no decision, where the interval does not say.
    """

    verdict: Verdict
    measures: str
    estimate: Interval
    reason: str = ""


def within(scores: Sequence[float], value: float, margin: float, *, test_train_ratio: float = 0.0) -> Judgement:
    """Equivalence with a number by two one-sided t tests over seeds.

    Args:
        scores: one a seed. value, margin: the mean is to lie from value - margin to value + margin. test_train_ratio:
            as for `mean_interval`.

    >>> within([0.90, 0.91, 0.92], 0.91, 0.03).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    >>> within([0.70, 0.90, 0.99], 0.91, 0.03).verdict
    <Verdict.UNDERPOWERED: 'underpowered'>
    """
    found = mean_interval(scores, LEVEL, test_train_ratio=test_train_ratio)
    return Judgement(verdict=_decide(found, value - margin, value + margin), measures="mean", estimate=found)


def order(above: Sequence[float], below: Sequence[float], effect: float, *, test_train_ratio: float = 0.0) -> Judgement:
    """One cell above another by at least a smallest effect, paired over seeds.

    Where the lower cell stands so near 1 that no such effect has room, nothing is decided.

    Args:
        above, below: scores in the same order of seeds. effect: the least difference that counts.

    >>> order([0.99, 0.98, 0.99], [0.50, 0.55, 0.52], 0.1).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    >>> order([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 0.1).reason
    'at the ceiling: no such effect has room'
    """
    assert len(above) == len(below)
    pairs = zip(above, below, strict=True)
    found = mean_interval([a - b for a, b in pairs], LEVEL, test_train_ratio=test_train_ratio)
    full = bool(below) and min(math.fsum(above), math.fsum(below)) / len(below) > 1 - effect
    verdict = Verdict.UNDERPOWERED if full else _decide(found, effect, math.inf)
    reason = "at the ceiling: no such effect has room" if full else ""
    return Judgement(verdict=verdict, measures="difference", estimate=found, reason=reason)


def solved(scores: Sequence[float], score: float, share: float) -> Judgement:
    """The share of seeds that reach a score is above `share`.

    >>> solved([1.0, 1.0, 0.99, 1.0, 1.0], 0.95, 0.5).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    """
    found = share_interval(sum(each >= score for each in scores), len(scores))
    return Judgement(verdict=_decide(found, share, math.inf), measures="share", estimate=found)


def unsolved(scores: Sequence[float], chance: float, margin: float, share: float) -> Judgement:
    """The share of seeds that stay below chance + margin is above `share`.

    >>> unsolved([0.5, 0.52, 0.49, 0.5, 0.51], 0.5, 0.1, 0.5).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    """
    found = share_interval(sum(each < chance + margin for each in scores), len(scores))
    return Judgement(verdict=_decide(found, share, math.inf), measures="share", estimate=found)


def share_interval(count: int, n: int) -> Interval:
    """A share and its Clopper-Pearson interval."""
    if not n:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, n=0)
    low, high = stats.binomtest(count, n).proportion_ci(LEVEL, method="exact")
    return Interval(mean=count / n, low=float(low), high=float(high), n=n)


def undecidable(rule: str, seeds: int, share: float) -> str:
    """Why a rule could not be decided both ways with so many seeds; empty where it could."""
    if rule in ("within", "order"):
        return "" if seeds >= 3 else "an interval over seeds takes 3 of them"
    least, most = share_interval(0, seeds).high, share_interval(seeds, seeds).low
    if least < share < most:
        return ""
    return (
        f"of {seeds} seeds, all show a share above {most:.2f} and none a share below {least:.2f}, not one of {share:g}"
    )


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a claim with several rules: what was not run decides nothing, one rule that fails decides, all must hold."""
    for verdict in (Verdict.NOT_RUN, Verdict.NOT_REPRODUCED, Verdict.UNDERPOWERED):
        if verdict in verdicts:
            return verdict
    return Verdict.REPRODUCED if verdicts else Verdict.NOT_RUN


def _decide(found: Interval, low: float, high: float) -> Verdict:
    """Whether an interval lies inside [low, high], outside, or across an end."""
    if math.isnan(found.low):
        return Verdict.UNDERPOWERED
    if low <= found.low and found.high <= high:
        return Verdict.REPRODUCED
    if found.high < low or found.low > high:
        return Verdict.NOT_REPRODUCED
    return Verdict.UNDERPOWERED
