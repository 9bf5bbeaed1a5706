import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.onset import accuracy_at, end_of, reversals, share_solved, survival


@given(st.lists(st.none() | st.integers(1, 500), min_size=1, max_size=12))
def test_where_all_are_watched_equally_long_the_curve_is_the_share_that_has_not_solved(steps):
    found = survival(steps, [500] * len(steps))
    for step in (0, 100, 250, 499, 500):
        solved = sum(value is not None and value <= step for value in steps)
        assert found.at(step) == pytest.approx(1 - solved / len(steps))


@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=12))
def test_the_curve_is_kaplan_and_meiers_product(runs):
    found = survival([step if solved else None for step, solved in runs], [step for step, _ in runs])
    expected = 1.0
    for step in sorted({step for step, _ in runs}):
        at_risk = sum(other >= step for other, _ in runs)
        expected *= 1 - sum(other == step and solved for other, solved in runs) / at_risk
        assert found.at(step) == pytest.approx(expected)


def test_the_interval_holds_the_curve_and_the_median_is_the_first_step_below_half():
    found = survival([100, 120, 150, 300, None, None], [500] * 6)
    inside = [(low, s, high) for low, s, high in zip(found.low, found.unsolved, found.high, strict=True)]
    assert all(low <= s <= high for low, s, high in inside if not math.isnan(low))
    assert found.median == 150
    assert survival([None, None], [500, 300]).median == math.inf
    assert survival([None, None], [500, 300]).at(500) == 1.0


def test_the_share_is_clopper_and_pearsons():
    found = share_solved([100, None, 200, 300, 400, 1, 2, 3, 4, 5])
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 9, 2))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 10, 1))
    assert share_solved([]).n == 0 and math.isnan(share_solved([]).value)
    assert share_solved([None] * 5).low == 0


def test_what_is_known_of_a_run_that_did_not_solve():
    assert end_of({"steps": 500, "stopped_at": None}) == 500
    assert end_of({"steps": 500, "stopped_at": 225}) == 225
    assert end_of({"steps": 500, "diverged_at": 30}) == 30
    assert end_of({}) == 0


def test_accuracy_at_other_budgets_and_where_the_order_reverses():
    record = {"curve": {"step": [0, 25, 50], "validation_accuracy": [0.5, 0.7, 0.6]}}
    assert [accuracy_at(record, step) for step in (0, 24, 25, 500)] == [0.5, 0.5, 0.7, 0.6]
    assert accuracy_at({}, 100) is None
    assert reversals({"a": [0.5, 0.9], "b": [0.6, 0.8], "c": [0.4, 0.4]}) == [("a", "b")]
    assert reversals({"a": [0.5, 0.505], "b": [0.505, 0.5]}) == []
    assert np.isfinite(survival([3], [3]).unsolved).all()
