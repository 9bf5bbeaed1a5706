"""Which rates are tried, on scores that are made up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.analysis.rates import area_over_rates, rates_within
from harness.running.tuning import FARTHEST, WORST_SCORE, search
from harness.store.store import Store

GRID = [0.001, 0.003, 0.01]
SEEDS = (100, 101, 102)


def searched(score, **options):
    """What a search finds, and its trials in order."""
    steps, done = search(GRID, SEEDS, **options), []
    try:
        wanted = next(steps)
        while True:
            done += wanted
            wanted = steps.send({(rate, seed): score(rate, seed) for rate, seed in wanted})
    except StopIteration as end:
        return end.value, done


def peak_at(best):
    return lambda rate, seed: 0.9 - 0.1 * abs(math.log10(rate / best))


def test_plain_tuning_tries_the_grid_and_takes_the_smaller_rate_of_a_tie():
    found, done = searched(peak_at(0.003))
    assert found.rate == 0.003 and len(done) == 9
    assert searched(lambda *_: 0.5)[0].rate == 0.001


@pytest.mark.parametrize("best", [0.0001, 0.1])
def test_a_grid_grows_until_its_best_stands_within(best):
    found, done = searched(peak_at(best), extend=True)
    ordered = sorted(found.tried)
    at = ordered.index(found.rate)
    assert 0 < at < len(ordered) - 1
    assert abs(math.log(found.rate / best)) < math.log(10) / 4
    assert found.tried[:3] == tuple(GRID) and len(done) == 3 * len(found.tried)
    assert list(found.means) == ordered and set(found.counts.values()) == {3}


def test_a_grid_does_not_grow_for_ever_nor_where_nothing_is_better():
    found, _ = searched(lambda rate, seed: rate, extend=True)
    assert len(found.tried) == len(GRID) + FARTHEST
    found, done = searched(lambda *_: 0.5, extend=True)
    assert found.rate == 0.003 and len(done) == 9


def test_halving_drops_the_worse_half_and_ends_with_all_seeds_for_those_that_stay():
    found, done = searched(peak_at(0.01), halving=True)
    assert found.rate == 0.01
    assert [found.counts[rate] for rate in GRID] == [1, 3, 3]
    assert len(done) == 7


@given(st.dictionaries(st.sampled_from(GRID), st.floats(0, 1), min_size=3), st.booleans(), st.booleans())
def test_the_best_has_all_seeds_and_no_trial_is_asked_for_twice(means, extend, halving):
    found, done = searched(lambda rate, seed: means.get(rate, 0.0), extend=extend, halving=halving)
    assert len(done) == len(set(done)) == sum(found.counts.values())
    assert found.counts[found.rate] == len(SEEDS)
    assert found.means[found.rate] == max(mean for rate, mean in found.means.items() if found.counts[rate] == 3)


def test_a_rate_at_which_a_run_breaks_is_not_taken():
    found, _ = searched(lambda rate, seed: WORST_SCORE if (rate, seed) == (0.01, 102) else rate)
    assert found.rate == 0.003


def test_the_area_is_that_of_the_curve_and_a_plateau_is_as_wide_as_it_is():
    assert area_over_rates([0.01], [0.7]) == 0.7
    assert math.isnan(area_over_rates([0.01], [None]))
    assert area_over_rates([0.01, 0.1, 1.0], [0.5, 0.5, None]) == 0.5
    assert rates_within([0.001, 0.01, 0.1], [0.9, 0.9, 0.9]) == pytest.approx(100)
    assert rates_within([0.001, 0.01, 0.1], [0.9, None, 0.9]) == 1


def test_records_keep_the_curve_and_what_it_cost_and_nothing_runs_twice(tmp_path, tiny_protocol):
    path = tmp_path / "tuned.sqlite"
    asked = {"task": "locality2d:height=4,width=4", "architecture": "mean-pool", "protocol": tiny_protocol}
    asked |= {"tune": {"rates": [0.001, 0.01], "seeds": 3, "extend": True, "halving": True}, "seeds": 1}
    asked |= {"store": path, "workers": 0, "timing": False, "device": "cpu"}
    harness.run(**asked)
    with Store(path) as store:
        (record,) = store.records()
        trials = len(store.records(tuning=True)) - 1
    curve = record["lr_curve"]
    assert curve["rates"] == sorted(record["lr_selection"]["rates"]) and record["learning_rate"] in curve["rates"]
    assert curve["runs"] == trials == sum(curve["seeds"]) and curve["seconds"] > 0
    assert len(curve["scores"]) == len(curve["rates"])
    harness.run(**asked)
    with Store(path) as store:
        assert len(store.records(tuning=True)) == trials + 1
