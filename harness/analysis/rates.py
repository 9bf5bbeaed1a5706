"""How much a learning rate decides: the area over the curve of scores by rate, beside its best point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def area_over_rates(rates: Sequence[float], scores: Sequence[float | None]) -> float:
    """Mean score over the logarithm of the rates tried, by trapezoids: high where many rates do, not only the best.

    Args:
        rates: rising. scores: mean validation score of each; None, a rate at which no run ended well, is left out.

    >>> area_over_rates([0.001, 0.01, 0.1], [0.5, 0.9, 0.5])
    0.7
    """
    known = [(math.log(rate), score) for rate, score in zip(rates, scores, strict=True) if score is not None]
    if not known:
        return math.nan
    x, y = np.array(known).T
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 else float(y[0])


def rates_within(rates: Sequence[float], scores: Sequence[float | None], loss: float = 0.01) -> float:
    """Largest over smallest of the neighbouring rates around the best that lose no more than `loss` beside it.

    >>> rates_within([0.001, 0.01, 0.1, 1.0], [0.5, 0.9, 0.895, 0.5])
    10.0
    """
    values = [-math.inf if score is None else score for score in scores]
    best = max(range(len(values)), key=values.__getitem__)
    low = high = best
    while low > 0 and values[low - 1] >= values[best] - loss:
        low -= 1
    while high < len(values) - 1 and values[high + 1] >= values[best] - loss:
        high += 1
    return rates[high] / rates[low]
