"""How a cost grows with length: slopes in log-log, where two lines cross, what the next length will cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Cost grows as length^exponent: least squares of log cost on log length, with a 95% t interval.

    The interval is that of a straight line through `n` medians. Where the true curve bends it says too little.
    """

    exponent: float
    low: float
    high: float
    shortest: int
    longest: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """From about `length` on the cost of `faster` is below that of `slower`; below it, above."""

    length: float
    faster: str
    slower: str


def upper_part(lengths: Sequence[int]) -> list[int]:
    """The lengths a growth exponent is fitted on: the longer half of those measured, at least three.

    Shorter sequences pay mostly what does not depend on length.

    >>> upper_part([64, 128, 256, 512, 1024, 2048, 4096])
    [512, 1024, 2048, 4096]
    """
    count = max(3, math.ceil(len(lengths) / 2))
    return sorted(lengths)[-count:]


def growth_of(costs: Mapping[int, float]) -> Growth | None:
    """The growth exponent over the upper part of a sweep; None from fewer than three lengths.

    Args:
        costs: length to cost (seconds or bytes), all positive.
    """
    if len(costs) < 3:
        return None
    lengths = upper_part(list(costs))
    x, y = np.log(lengths), np.log([costs[length] for length in lengths])
    fit: Any = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(lengths) - 2) * fit.stderr)
    slope = float(fit.slope)
    return Growth(
        exponent=slope, low=slope - half, high=slope + half, shortest=lengths[0], longest=lengths[-1], n=len(lengths)
    )


def crossovers(
    first: str, second: str, costs: Mapping[str, Mapping[int, float]], undecided: Collection[int] = ()
) -> list[Crossover]:
    """Every length at which one line overtakes the other, interpolated in log-log between the lengths both have.

    Lines that meet and part again on the same side do not cross.

    Args:
        costs: line to length to cost, all positive. undecided: lengths at which noise hides which of the two is lower.
    """
    shared = sorted(set(costs[first]) & set(costs[second]))
    points = [(math.log(n), math.log(costs[first][n] / costs[second][n])) for n in shared if n not in undecided]
    found: list[Crossover] = []
    for (left, before), (right, gap) in itertools.pairwise(point for point in points if point[1] != 0):
        if before * gap < 0:
            at = left + (right - left) * before / (before - gap)
            equal = [place for place, difference in points if difference == 0 and left < place < right]
            faster, slower = (first, second) if gap < 0 else (second, first)
            found.append(Crossover(length=math.exp(equal[0] if equal else at), faster=faster, slower=slower))
    return found


def predicted(costs: Mapping[int, float], length: int) -> float | None:
    """What `length` will cost, from the slope between the two longest lengths measured; linear to quadratic growth.

    None where nothing was measured.
    """
    known = sorted(costs)
    if not known:
        return None
    slope = 1.0
    if len(known) > 1:
        a, b = known[-2:]
        slope = min(2.0, max(1.0, math.log(costs[b] / costs[a]) / math.log(b / a)))
    return costs[known[-1]] * (length / known[-1]) ** slope
