import numpy as np
import pytest
from scipy import stats

from harness.analysis.many_to_one import above_chance, against_baseline, best_set, tells_apart
from harness.analysis.ranking import rank_treatments

NAMES = ("a", "b", "c", "d")


def noisy(levels, n=10, scale=0.02, seed=0):
    return np.random.default_rng(seed).normal(levels, scale, size=(n, len(levels)))


def test_against_a_baseline_two_treatments_are_a_t_test():
    scores = noisy([0.7, 0.72])
    (found,) = against_baseline(scores, ("a", "b"), "a")
    # scipy integrates the multivariate t by random points.
    assert found.p == pytest.approx(tuple(stats.ttest_ind(scores[:, 1], scores[:, 0]))[1], abs=2e-4)
    assert found.low < found.effect < found.high


def test_only_what_differs_from_the_baseline_is_said_to():
    found = against_baseline(noisy([0.7, 0.7, 0.8, 0.6]), NAMES, "a")
    assert [(each.name, each.differs, each.effect > 0) for each in found[1:]] == [("c", True, True), ("d", True, False)]
    assert not found[0].differs


def test_without_scatter_and_with_a_single_seed():
    same = against_baseline(np.full((5, 2), [0.5, 0.7]), ("a", "b"), "a")
    assert same[0].differs and same[0].effect == pytest.approx(0.2)
    assert not against_baseline(np.array([[0.5, 0.7]]), ("a", "b"), "a")[0].differs


def test_alike_treatments_keep_the_best_in_the_set_as_often_as_promised():
    studies = 300
    sets = [best_set(noisy([0.70, 0.699, 0.699], n=6, seed=seed), NAMES[:3]) for seed in range(studies)]
    wrong = sum("a" not in each for each in sets)
    assert wrong <= stats.binom.isf(1e-4, studies, 0.05)


def test_the_best_set_leaves_out_what_is_beaten_and_what_is_at_chance():
    assert best_set(noisy([0.9, 0.9, 0.6, 0.5]), NAMES, chance=0.5) in (("a", "b"), ("b", "a"))
    assert best_set(noisy([0.5, 0.5, 0.5]), NAMES[:3], chance=0.5) == ()
    assert len(best_set(noisy([0.5, 0.5, 0.5]), NAMES[:3])) == 3
    assert best_set(np.full((4, 2), [0.9, 0.7]), NAMES[:2], chance=0.5) == ("a",)


def test_nothing_at_chance_is_ever_in_a_leading_group():
    draw = np.random.default_rng(1)
    # "b" solves the task in one of ten seeds: not significantly worse than "a", and not above chance.
    scores = np.column_stack([draw.normal(0.62, 0.12, 10), np.r_[0.95, np.full(9, 0.5)], np.full(10, 0.2)])
    assert "b" in rank_treatments(scores, NAMES[:3]).best
    ranking = rank_treatments(scores, NAMES[:3], chance=0.5)
    assert ranking.at_chance == ("b", "c")
    assert "b" not in (*ranking.best, *ranking.leading, *ranking.scattered)
    assert ranking.best == ("a",)


def test_above_chance_asks_the_interval():
    assert above_chance([0.7], 0.5) and not above_chance([0.5], 0.5)
    assert not above_chance([0.4, 0.9], 0.5)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([0.999, 1.0, 1.0], False), ([0.5, 0.5, 0.5], False), ([0.5, 0.9, 0.5], True), ([1.0, 0.8, 1.0], True)],
)
def test_a_task_at_ceiling_or_floor_for_all_does_not_rank(levels, expected):
    assert tells_apart(noisy(levels, scale=0.0005), chance=0.5) is expected
    assert not tells_apart(np.zeros((0, 3)), chance=0.5)
