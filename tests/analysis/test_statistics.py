import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.statistics import (
    Verdict,
    compare,
    correct,
    corrected_t_p,
    detectable_effect,
    deviation_interval,
    holm,
    mean_interval,
    seeds_to_find,
    sign_flip_p,
    smallest_p,
)
from harness.analysis.tables import verdict_text


def test_the_interval_is_scipys_t_interval():
    values = [0.81, 0.84, 0.79, 0.9, 0.86]
    interval = mean_interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.n == 5


def test_one_value_has_no_interval_and_none_no_mean():
    assert math.isnan(mean_interval([0.5]).low)
    assert math.isnan(mean_interval([]).mean)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        interval = mean_interval(draw.normal(0.3, 1.0, size=5).tolist())
        covered += interval.low <= 0.3 <= interval.high
    assert 0.935 < covered / 2000 < 0.965


def test_the_sign_flip_test_is_scipys_permutation_test():
    draw = np.random.default_rng(1)
    d = draw.normal(0.4, 1.0, size=9)
    expected = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p(d.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "p"), [(5, 0.0625), (10, 0.001953125)])
def test_the_smallest_p_is_what_the_test_reaches_when_all_differences_agree(n, p):
    assert smallest_p(n) == p
    assert sign_flip_p([0.1 + 0.01 * i for i in range(n)]) == p


def test_many_pairs_are_sampled_and_agree_with_the_t_test():
    d = np.random.default_rng(2).normal(0.25, 1.0, size=60)
    assert sign_flip_p(d.tolist()) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_the_detectable_effect_is_found_with_the_power_it_states():
    effect = detectable_effect(deviation=1.0, n=12, level=0.05)
    draw = np.random.default_rng(3)
    found = [stats.ttest_1samp(draw.normal(effect, 1.0, size=12), 0).pvalue <= 0.05 for _ in range(3000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_detectable_effect_holds_at_the_small_levels_of_a_large_family(n):
    level = 0.05 / 1000  # scipy's noncentral t, and statsmodels with it, give no such effect
    effect, draw = detectable_effect(deviation=1.0, n=n, level=level), np.random.default_rng(8)
    errors, spread = effect * math.sqrt(n) + draw.normal(size=50_000), np.sqrt(draw.chisquare(n - 1, 50_000) / (n - 1))
    assert np.mean(np.abs(errors) > stats.t.isf(level / 2, n - 1) * spread) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("effect", "level"), [(0.02, 0.05), (0.005, 0.05), (0.02, 0.0025), (0.5, 0.05)])
def test_so_many_seeds_find_the_effect_and_one_less_does_not(effect, level):
    n = seeds_to_find(effect, deviation=0.02, level=level)
    enough = [n, n - 1]
    found = [detectable_effect(0.02, k, level) <= effect and smallest_p(k) <= level for k in enough]
    assert found == [True, False]


def test_seeds_are_never_fewer_than_the_sign_flip_test_needs_and_none_where_none_suffice():
    assert seeds_to_find(0.1, deviation=0.0, level=0.05) == 6  # 2 / 2^6
    assert seeds_to_find(0.1, deviation=0.0, level=0.05, test_train_ratio=0.25) == 2
    assert seeds_to_find(1e-6, deviation=0.1, level=0.05) is None
    assert seeds_to_find(0.02, deviation=0.1, level=0.05, test_train_ratio=0.25) is None  # the splits' error stays
    assert seeds_to_find(0.02, deviation=math.nan, level=0.05) is None
    assert seeds_to_find(1e9, deviation=1e-9, level=0.05) == 6


def test_the_interval_of_a_spread_covers_it_as_often_as_it_says():
    draw = np.random.default_rng(7)
    bounds = [deviation_interval(float(np.std(draw.normal(0, 2.0, size=5), ddof=1)), 5) for _ in range(2000)]
    assert 0.935 < np.mean([low <= 2.0 <= high for low, high in bounds]) < 0.965
    assert deviation_interval(math.nan, 1) == (0.0, math.inf)


def test_too_few_seeds_are_underpowered_and_never_no_difference():
    comparison = compare([0.5] * 5, [0.9, 0.91, 0.92, 0.93, 0.94])
    assert comparison.verdict is Verdict.UNDERPOWERED
    assert verdict_text(comparison) == "underpowered at n=5 (smallest p 0.0625)"
    assert verdict_text(compare([0.5], [0.9])) == "underpowered at n=1"
    family = correct([compare([0.5] * 7, [0.9 + 0.01 * i for i in range(7)])] * 5)
    assert all(member.verdict is Verdict.UNDERPOWERED for member in family)  # 5 x 2/128 is beyond .05


def test_a_clear_difference_is_significant_and_noise_is_not():
    draw = np.random.default_rng(4)
    base = draw.normal(0.7, 0.02, size=10)
    clear = compare(base.tolist(), (base + 0.1).tolist())
    assert clear.verdict is Verdict.DIFFERENT and verdict_text(clear) == "significantly different, p=0.00195"
    noise = compare(base.tolist(), (base + draw.normal(0, 0.02, size=10)).tolist())
    assert noise.verdict is Verdict.NOT_SIGNIFICANT
    assert verdict_text(noise).startswith("not significant, p=") and verdict_text(noise).endswith("would be missed")
    assert "missed" not in verdict_text(noise, short=True)


def test_scores_are_paired_by_position():
    a = [0.1, 0.5, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4]
    assert compare(a, [x + 0.05 for x in a]).effect.half == pytest.approx(0, abs=1e-12)


def test_splits_of_one_data_set_widen_the_interval_as_nadeau_and_bengio_have_it():
    values, ratio = [0.81, 0.84, 0.79, 0.9, 0.86, 0.83], 0.25
    n, variance = len(values), np.var(values, ddof=1)
    interval = mean_interval(values, test_train_ratio=ratio)
    assert interval.half == pytest.approx(stats.t.ppf(0.975, n - 1) * math.sqrt((1 / n + ratio) * variance))
    assert interval.mean == pytest.approx(np.mean(values))


def test_the_corrected_t_test_is_the_plain_one_without_overlap_and_the_published_formula_with_it():
    d = np.random.default_rng(5).normal(0.4, 1.0, size=10)
    assert corrected_t_p(d.tolist(), 0.0) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    t = d.mean() / math.sqrt((1 / 10 + 1 / 9) * d.var(ddof=1))
    assert corrected_t_p(d.tolist(), 1 / 9) == pytest.approx(2 * stats.t.sf(abs(t), 9))


@pytest.mark.parametrize(("values", "p"), [([0.0, 0.0], 1.0), ([0.1, 0.1], 0.0), ([0.3], 1.0)])
def test_the_corrected_t_test_of_constant_differences_is_decided_without_dividing_by_zero(values, p):
    assert corrected_t_p(values, 0.2) == p


def test_the_corrected_test_keeps_its_level_over_splits_that_share_training_data():
    """Scores of k folds whose mean carries a common error of variance `ratio` times their own spread."""
    draw, ratio, n, found = np.random.default_rng(6), 0.25, 10, {0.0: 0, 0.25: 0}
    for _ in range(2000):
        d = draw.normal(0, 1, size=n) + draw.normal(0, math.sqrt(ratio))
        for assumed in found:
            found[assumed] += corrected_t_p(d.tolist(), assumed) <= 0.05
    assert found[ratio] / 2000 == pytest.approx(0.05, abs=0.015)
    assert found[0.0] / 2000 > 0.2  # what is seen without the correction


def test_a_comparison_of_resampled_scores_carries_the_correction_throughout():
    first = [0.5, 0.52, 0.48, 0.51, 0.5]
    second = [0.6, 0.64, 0.55, 0.63, 0.58]
    plain, test_train_ratio = compare(first, second), compare(first, second, test_train_ratio=0.25)
    wider = math.sqrt((1 / 5 + 0.25) / (1 / 5))
    assert test_train_ratio.effect.half == pytest.approx(wider * plain.effect.half)
    assert test_train_ratio.detectable == pytest.approx(wider * plain.detectable)
    assert plain.verdict is Verdict.UNDERPOWERED  # five seeds cannot by sign flips
    assert test_train_ratio.verdict is Verdict.DIFFERENT
    (corrected,) = correct([test_train_ratio])
    assert corrected.detectable == pytest.approx(test_train_ratio.detectable)
    assert corrected.test_train_ratio == 0.25
