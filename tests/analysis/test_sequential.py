import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.sequential import (
    SCALES,
    Decision,
    decide,
    decide_family,
    decisions,
    fewest_seeds,
    log_capital,
    seeds_expected,
    share_bound,
)

LEVEL, MARGIN, STUDIES, SEEDS = 0.05, 0.01, 600, 64
DIFFERENCES = st.lists(st.sampled_from([0.0, 0.0005, -0.0005, 0.01, -0.02, 0.2, 0.4, -0.4]), max_size=30)


def symmetric(kind: str) -> np.ndarray:
    """Differences of two cells that are alike, as ours look."""
    draw = np.random.Generator(np.random.Philox(key=7))
    shape = STUDIES, SEEDS
    if kind == "at chance":
        return draw.normal(0, 0.014, shape)
    if kind == "at the ceiling":
        return draw.choice([-0.0005, 0.0, 0.0005], size=shape, p=[0.1, 0.8, 0.1])
    if kind == "take-off of one":
        return draw.choice([-0.4, 0.4], size=shape) + draw.normal(0, 0.01, shape)
    return draw.choice([-0.4, 0.0, 0.4], size=shape, p=[0.25, 0.5, 0.25]) + draw.normal(0, 0.01, shape)


KINDS = ["at chance", "at the ceiling", "take-off of one", "take-offs"]
MOST_WRONG = stats.binom.isf(1e-4, STUDIES, LEVEL)
"""A method that errs in `LEVEL` of studies has more wrong ones once in 10,000 such tests."""


@pytest.mark.parametrize("kind", KINDS)
def test_alike_cells_are_seldom_told_apart_though_one_looks_after_every_seed(kind):
    ever = decisions(symmetric(kind), margin=1e-9, level=LEVEL)
    assert np.isin(ever, (1, -1)).any(-1).sum() <= MOST_WRONG


@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_of_the_margin_is_seldom_called_equivalent(kind):
    ever = decisions(symmetric(kind) + MARGIN, margin=MARGIN, level=LEVEL)
    assert (ever == 2).any(-1).sum() <= MOST_WRONG


def test_a_t_test_after_every_seed_does_not_hold_that_bound():
    d = symmetric("take-offs")
    p = np.array([tuple(stats.ttest_1samp(d[:, :n], 0, axis=1))[1] for n in range(5, SEEDS + 1)])
    assert (p <= LEVEL).any(0).sum() > MOST_WRONG


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=7))
def test_over_all_signs_the_capital_is_worth_its_stake_on_average(sizes):
    flipped = np.array(list(itertools.product([1, -1], repeat=len(sizes)))) * sizes
    for side in (1, -1):
        np.testing.assert_allclose(np.exp(log_capital(flipped, 0.0, side)).mean(0), 1.0, rtol=1e-9)


def test_the_capital_is_the_product_that_its_formula_says():
    d = np.array([0.3, -0.01, 0.0, 0.4])
    for centre in (-0.1, 0.0, 0.2):
        expected = np.mean([np.cumprod(1 + np.tanh(scale * (d - centre))) for scale in SCALES], axis=0)
        np.testing.assert_allclose(np.exp(log_capital(d, centre)), expected, rtol=1e-9)


@settings(deadline=None, max_examples=50)
@given(DIFFERENCES, DIFFERENCES)
def test_what_is_decided_stays_so_whatever_comes_later(some, more):
    before, after = (decide(d, margin=MARGIN) for d in (some, some + more))
    if before.decided:
        assert after == before
    assert after.seeds <= len(some) + len(more)


@settings(deadline=None, max_examples=50)
@given(DIFFERENCES)
def test_swapping_the_cells_swaps_the_answer(d):
    one, other = decide(d, margin=MARGIN), decide([-each for each in d], margin=MARGIN)
    swapped = {Decision.BETTER: Decision.WORSE, Decision.WORSE: Decision.BETTER}
    assert other.decision is swapped.get(one.decision, one.decision)
    assert (other.seeds, other.rare_share) == (one.seeds, one.rare_share)
    np.testing.assert_allclose([-other.high, -other.low], [one.low, one.high], atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(DIFFERENCES)
def test_the_interval_and_the_decision_say_the_same(d):
    found = decide(d, margin=MARGIN)
    assert not found.low > found.high + 1e-7 or len(set(d)) > 1
    if found.decision is Decision.BETTER:
        assert found.low >= 0 < found.effect
    if found.decision is Decision.EQUIVALENT:
        assert -MARGIN <= found.low <= found.high <= MARGIN >= abs(found.effect)


def test_no_seeds_and_few_seeds_decide_nothing():
    assert not decide([], margin=MARGIN).decided
    few = fewest_seeds(LEVEL) - 1
    assert not decide([1.0] * few, margin=MARGIN).decided
    assert decide([1.0] * (few + 1), margin=MARGIN).decision is Decision.BETTER
    assert decide([], margin=MARGIN).low == -math.inf


def test_equivalent_says_how_rare_seeds_that_differ_may_be():
    found = decide([0.0] * 13 + [0.0], margin=MARGIN)
    assert found.decision is Decision.EQUIVALENT
    assert found.seeds == 14
    interval = stats.binomtest(0, 14, alternative="less").proportion_ci(0.95)
    assert found.rare_share == pytest.approx(interval.high)
    assert share_bound(3, 20, 0.05) == pytest.approx(stats.binomtest(3, 20, alternative="less").proportion_ci().high)
    assert share_bound(4, 4, 0.05) == 1


def test_a_family_needs_more_of_each():
    alone = decide_family({"a": [0.4] * 20}, margin=MARGIN)["a"]
    both = decide_family({"a": [0.4] * 20, "b": []}, margin=MARGIN)
    assert both["a"].seeds > alone.seeds
    assert both["a"].level == LEVEL / 2
    assert both["b"].decision is Decision.UNDECIDED


def test_the_cost_is_told_from_known_differences():
    clear, _ = seeds_expected([0.4, 0.38, 0.41], margin=MARGIN, level=LEVEL, most=64)
    wide, share = seeds_expected([0.3, -0.3, 0.02], margin=MARGIN, level=LEVEL, most=64)
    assert clear <= 7
    assert wide == 64
    assert share < 0.5
