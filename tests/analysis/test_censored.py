import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.censored import censored_median, fit_power_law


def test_the_median_counts_runs_that_never_arrived():
    median = censored_median([30, None, 10, 20, None, 40, 50, 60, 70, None])
    assert (median.value, median.n, median.reached) == (55, 10, 7)
    assert (median.low, median.high) == (20, math.inf)
    assert median.mean_reached == pytest.approx(40)
    assert censored_median([None, None, 5]).value == math.inf


def test_the_medians_interval_covers_as_it_says():
    draw = np.random.default_rng(0)
    for n in (6, 10, 25):
        covered = 0
        for _ in range(1000):
            found = censored_median(list(draw.exponential(size=n)))
            covered += found.low <= math.log(2) <= found.high
        assert covered / 1000 > 0.94


def data(n, draw, censor=math.inf):
    gap, length = draw.uniform(0.1, 0.5, n), draw.uniform(10, 60, n)
    steps = np.exp(1 + 0.3 * draw.normal(size=n)) * gap**-2.0 * length**0.5
    budgets = np.full(n, censor)
    return {"gap": gap, "length": length}, [None if s > censor else s for s in steps], budgets


def test_without_censoring_it_is_least_squares():
    factors, steps, budgets = data(60, np.random.default_rng(1))
    law = fit_power_law(factors, steps, budgets)
    x = np.column_stack([np.ones(60), np.log(factors["gap"]), np.log(factors["length"])])
    expected, *_ = np.linalg.lstsq(x, np.log(steps), rcond=None)
    found = [law.exponents["gap"].value, law.exponents["length"].value]
    np.testing.assert_allclose(found, expected[1:], atol=1e-4)
    assert law.scale == pytest.approx(math.exp(expected[0]), rel=1e-3)


def test_intervals_cover_the_true_exponents_under_heavy_censoring():
    draw = np.random.default_rng(2)
    covered = biased = 0
    for _ in range(50):
        factors, steps, budgets = data(60, draw, censor=300.0)
        law = fit_power_law(factors, steps, budgets)
        assert 5 < law.censored < 50
        covered += law.exponents["gap"].holds(-2.0)
        arrived = [i for i, value in enumerate(steps) if value is not None]
        slope = stats.linregress(np.log(factors["gap"][arrived]), np.log([steps[i] for i in arrived])).slope
        biased += slope
    assert covered / 50 > 0.86
    assert biased / 50 > -1.9  # what leaving censored runs out would do


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(ValueError, match="too few"):
        fit_power_law({"gap": [1, 2, 3]}, [None, None, 5], [9, 9, 9])
    with pytest.raises(ValueError, match="does not vary"):
        fit_power_law({"gap": [2, 2, 2, 2]}, [1, 2, 3, 4], [9] * 4)
