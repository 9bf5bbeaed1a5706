"""The four rules: every verdict is reached, and none turns on anything but the scores."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from harness.reports.known_answers import rules
from harness.reports.known_answers.rules import Verdict, order, share_interval, solved, together, unsolved, within

SCORES = st.lists(st.floats(0, 1), min_size=3, max_size=12)
PAIRS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=12)
UNIT = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (within([0.90, 0.91, 0.92], 0.91, 0.03), Verdict.REPRODUCED),
        (within([0.80, 0.81, 0.80], 0.91, 0.03), Verdict.NOT_REPRODUCED),
        (within([0.80, 0.95, 0.99], 0.91, 0.03), Verdict.UNDERPOWERED),
        (within([0.90, 0.93, 0.95], 0.91, 0.03), Verdict.UNDERPOWERED),
        (within([0.91], 0.91, 0.03), Verdict.UNDERPOWERED),
        (within([1.0, 1.0, 1.0], 1.0, 0.01), Verdict.REPRODUCED),
        (order([0.9, 0.9, 0.91], [0.5, 0.51, 0.5], 0.1), Verdict.REPRODUCED),
        (order([0.5, 0.51, 0.5], [0.5, 0.5, 0.51], 0.1), Verdict.NOT_REPRODUCED),
        (order([0.5, 0.51, 0.5], [0.9, 0.9, 0.9], 0.1), Verdict.NOT_REPRODUCED),
        (order([0.9, 0.5, 0.9], [0.5, 0.5, 0.5], 0.1), Verdict.UNDERPOWERED),
        (order([1.0, 1.0, 1.0], [0.99, 1.0, 1.0], 0.1), Verdict.UNDERPOWERED),
        (solved([1.0] * 5, 0.95, 0.5), Verdict.REPRODUCED),
        (solved([0.9] * 5, 0.95, 0.5), Verdict.NOT_REPRODUCED),
        (solved([1.0] * 4 + [0.2], 0.95, 0.5), Verdict.UNDERPOWERED),
        (unsolved([0.5] * 5, 0.5, 0.1, 0.5), Verdict.REPRODUCED),
        (unsolved([0.9] * 5, 0.5, 0.1, 0.5), Verdict.NOT_REPRODUCED),
        (unsolved([0.9] * 3 + [0.5] * 2, 0.5, 0.1, 0.5), Verdict.UNDERPOWERED),
    ],
)
def test_every_verdict_is_reached(found, verdict):
    assert found.verdict == verdict


@given(PAIRS, UNIT, UNIT, st.randoms(use_true_random=False))
def test_no_verdict_flips_when_seeds_are_permuted(pairs, value, margin, draw):
    mixed = list(pairs)
    draw.shuffle(mixed)
    for judge in (
        lambda found: within([a for a, _ in found], value, margin),
        lambda found: order([a for a, _ in found], [b for _, b in found], margin),
        lambda found: solved([a for a, _ in found], value, 0.5),
        lambda found: unsolved([a for a, _ in found], value, margin, 0.5),
    ):
        first, second = judge(pairs), judge(mixed)
        bounds = (first.estimate.low, first.estimate.high)
        if not any(math.isclose(bound, edge, abs_tol=1e-9) for bound in bounds for edge in _edges(value, margin)):
            assert first.verdict == second.verdict


def _edges(value, margin):
    return value - margin, value + margin, margin, 0.5


@given(SCORES, UNIT, UNIT)
def test_an_interval_wider_than_the_margin_reproduces_nothing(scores, value, margin):
    found = within(scores, value, margin)
    if found.estimate.high - found.estimate.low > 2 * margin:
        assert found.verdict != Verdict.REPRODUCED
        if found.estimate.low <= value <= found.estimate.high:
            assert found.verdict == Verdict.UNDERPOWERED


@given(SCORES, UNIT, UNIT)
def test_equivalence_is_that_of_two_one_sided_t_tests(scores, value, margin):
    if len({round(score, 6) for score in scores}) < 2:
        return  # no spread: no t statistic
    p, *_ = DescrStatsW(scores).ttost_mean(value - margin, value + margin)
    if abs(p - 0.05) > 1e-6:
        assert (within(scores, value, margin).verdict == Verdict.REPRODUCED) == (p < 0.05)


@given(PAIRS, UNIT)
def test_an_order_is_shown_where_a_one_sided_paired_t_test_shows_it(pairs, effect):
    above, below = ([pair[side] for pair in pairs] for side in (0, 1))
    if len({round(a - b, 6) for a, b in pairs}) < 2:
        return
    p = stats.ttest_1samp([a - b for a, b in pairs], effect, alternative="greater").pvalue
    found = order(above, below, effect)
    if abs(p - 0.05) > 1e-6 and not found.reason:
        assert (found.verdict == Verdict.REPRODUCED) == (p < 0.05)


@given(st.integers(1, 40), st.data())
def test_shares_have_clopper_pearson_intervals(n, data):
    count = data.draw(st.integers(0, n))
    found = share_interval(count, n)
    low, high = proportion_confint(count, n, alpha=1 - rules.LEVEL, method="beta")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(2, 40), st.floats(0, 1))
def test_a_rule_is_decidable_where_both_extremes_decide_it(seeds, share):
    extremes = [solved([score] * seeds, 0.5, share).verdict for score in (0.0, 1.0)]
    decides = extremes == [Verdict.NOT_REPRODUCED, Verdict.REPRODUCED]
    bounds = share_interval(0, seeds).high, share_interval(seeds, seeds).low
    if not any(math.isclose(share, bound, abs_tol=1e-9) for bound in bounds):
        assert (rules.undecidable("solved", seeds, share) == "") == decides


def test_a_claim_of_several_rules():
    yes, no, maybe, none = Verdict  # in this order
    assert together([yes, yes]) == yes
    assert together([yes, maybe]) == maybe
    assert together([maybe, no, yes]) == no
    assert together([no, none]) == none
    assert together([]) == none
