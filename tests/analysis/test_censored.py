import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.censored import censored_median, fit_power_law, lack_of_fit


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


def interval_data(n, draw, curve=0.0):
    """Steps looked at every fifth of their size; log T = 2 - log D + curve (log D)^2."""
    strength = draw.choice([0.5, 0.25, 0.12, 0.06, 0.03], n)
    log = np.log(strength)
    steps = np.exp(5 - log + curve * log**2 + 0.1 * draw.normal(size=n))
    looks = np.exp(np.ceil(np.log(steps) / 0.2) * 0.2)
    return {"D": strength.tolist()}, looks.tolist(), (looks * math.exp(-0.2)).tolist()


def test_looks_far_apart_bias_nothing_once_they_are_known():
    draw = np.random.default_rng(3)
    scales, held = [], 0
    for _ in range(20):
        factors, looks, before = interval_data(50, draw)
        law = fit_power_law(factors, looks, [math.inf] * 50, before=before)
        scales.append(law.scale)
        held += law.exponents["D"].holds(-1.0)
    assert np.mean(np.log(scales)) == pytest.approx(5, abs=0.02)  # without `before` it is 5.1
    assert held / 20 > 0.85


def test_curvature_is_a_lack_of_fit_and_noise_is_none():
    draw = np.random.default_rng(4)
    p = []
    for _ in range(20):
        factors, looks, before = interval_data(50, draw)
        p.append(lack_of_fit(factors, looks, [math.inf] * 50, before=before).p)
    assert 0.3 < np.mean(p) < 0.7 and np.mean(np.array(p) < 0.05) < 0.2
    factors, looks, before = interval_data(50, draw, curve=-0.2)
    bent = lack_of_fit(factors, looks, [math.inf] * 50, before=before)
    assert bent.p < 1e-6 and bent.freedom == 3 and bent.worst > 1.15


def test_a_point_that_no_run_reached_is_left_out_of_the_test_of_fit():
    factors, looks, before = interval_data(60, np.random.default_rng(5))
    steps = [None if d == 0.03 else s for d, s in zip(factors["D"], looks, strict=True)]
    found = lack_of_fit(factors, steps, [500.0] * 60, before=before)
    assert found.freedom == 2 and found.p > 0.01
