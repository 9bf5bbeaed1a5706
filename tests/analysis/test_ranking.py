import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.ranking import (
    correct_rankings,
    correlate,
    critical_difference,
    rank_treatments,
    smallest_friedman_p,
    spearman,
)
from harness.analysis.statistics import Verdict, holm
from harness.analysis.tables import ranking_text

NAMES = ("a", "b", "c", "d", "e", "f")


def noisy(levels, n=8, scale=0.01, seed=0):
    return np.random.default_rng(seed).normal(levels, scale, size=(n, len(levels)))


def test_the_test_is_scipys_and_the_pairs_are_scipys_paired_t_with_holm():
    scores = noisy([0.7, 0.72, 0.75, 0.6], scale=0.05)
    ranking = rank_treatments(scores, NAMES[:4])
    assert ranking.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    first, second = np.triu_indices(4, 1)
    expected = holm(stats.ttest_rel(scores[:, first], scores[:, second]).pvalue)
    assert ranking.pairs[first, second] == pytest.approx(expected)
    assert (ranking.pairs == ranking.pairs.T).all()
    assert ranking.mean_ranks == pytest.approx(stats.rankdata(-scores, axis=1).mean(0))


def test_splits_of_one_data_set_make_pairs_harder_to_tell():
    scores = noisy([0.7, 0.72, 0.75, 0.6], scale=0.05)
    plain, test_train_ratio = (
        rank_treatments(scores, NAMES[:4], test_train_ratio=ratio).pairs for ratio in (0.0, 0.25)
    )
    assert (test_train_ratio >= plain).all() and (test_train_ratio > plain).any()


def test_orders_that_are_equal_are_rarely_worse_than_the_best_whatever_stands_behind_them():
    wrong = 0
    for seed in range(300):
        ranking = rank_treatments(noisy([0, 0, 0, 0, -50, -90], n=5, scale=1.0, seed=seed), NAMES)
        assert not {"e", "f"} & set(ranking.best)
        wrong += set(ranking.best) != set("abcd")
    assert wrong / 300 < 0.08


def test_the_best_set_holds_the_winner_and_what_is_not_significantly_worse():
    ranking = rank_treatments(noisy([0.5, 0.9, 0.5, 0.5, 0.898, 0.5], scale=0.005), NAMES)
    assert ranking.decided and ranking.tells
    assert set(ranking.best[:2]) == {"b", "e"}
    assert "a" not in ranking.best


def test_what_scatters_below_one_that_is_significantly_worse_does_not_lead():
    steady = np.array([[0.95, 0.949, 0.93], [0.951, 0.951, 0.931], [0.949, 0.95, 0.929], [0.95, 0.95, 0.93]])
    scores = np.column_stack([steady, [0.5, 0.94, 0.52, 0.93], np.full(4, 0.3)])
    ranking = rank_treatments(scores, NAMES[:5])
    assert ranking.tells and set(ranking.best) == {"a", "b", "d"}
    assert set(ranking.leading) == {"a", "b"} and ranking.scattered == ("d",)


def test_where_nothing_is_significant_everyone_leads():
    ranking = rank_treatments(noisy([0.5] * 6, seed=1), NAMES)
    assert not ranking.decided and set(ranking.leading) == set(NAMES) and ranking.scattered == ()


def test_orders_that_differ_by_chance_are_not_significant_and_all_stay_in_the_set():
    found = [rank_treatments(noisy([0.5] * 6, seed=seed), NAMES) for seed in range(40)]
    assert sum(ranking.decided for ranking in found) <= 5
    assert set(next(r for r in found if not r.decided).best) == set(NAMES)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (noisy([0.5, 0.9], n=8), "2 orders"),
        (noisy([0.5, 0.9, 0.7], n=2), "n=2"),
        (noisy([0.5, 0.9, 0.7], n=1), "n=1"),
        (np.zeros((0, 3)), "n=0"),
        (np.full((8, 4), 0.5), "all orders score alike"),
    ],
)
def test_what_cannot_be_decided_says_why(scores, words):
    ranking = rank_treatments(scores, NAMES[: scores.shape[1]])
    assert words in ranking_text(ranking)
    assert ranking.verdict is Verdict.UNDERPOWERED
    assert not ranking.decided
    assert set(ranking.best) == set(ranking.names)


def test_the_smallest_p_is_what_unanimous_blocks_reach():
    n, k = 5, 6
    scores = np.tile(np.arange(k, dtype=float), (n, 1))
    ranking = rank_treatments(scores, NAMES)
    assert ranking.p == pytest.approx(smallest_friedman_p(n, k))


def test_a_family_is_corrected_and_what_it_makes_hopeless_is_underpowered():
    family = [rank_treatments(noisy([0.5, 0.9, 0.7, 0.6], n=4, seed=seed), NAMES[:4]) for seed in range(3)]
    corrected = correct_rankings(family)
    assert [r.corrected for r in corrected] == pytest.approx(holm([r.p for r in family]))
    hopeless = correct_rankings([rank_treatments(noisy([0.5] * 3, n=3, seed=s), NAMES[:3]) for s in range(9)])
    assert all("underpowered at n=3: the smallest p of 9 tests" in ranking_text(ranking) for ranking in hopeless)


def test_ties_take_the_mean_rank():
    scores = np.array([[0.5, 0.5, 0.9]] * 6)
    assert rank_treatments(scores, NAMES[:3]).mean_ranks == (2.5, 2.5, 1.0)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (4, 2.569), (6, 2.850), (10, 3.164)])
def test_nemenyis_critical_difference_is_demsars(k, q):
    assert critical_difference(14, k) == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * 14)), abs=2e-3)


def test_spearman_is_scipys_ties_included():
    x, y = np.array([1.0, 2, 2, 3, 5, 4]), np.array([0.1, 0.3, 0.2, 0.2, 0.9, 0.4])
    assert float(spearman(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert math.isnan(float(spearman(x, np.ones(6))))


def test_the_permutation_p_is_exact_and_the_interval_follows_the_seeds():
    levels = np.linspace(0.5, 0.9, 6)
    found = correlate([noisy(levels, n=5)], [np.arange(6.0)])
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 720)
    assert found.low == pytest.approx(1.0)
    wild = correlate([noisy(levels, n=5, scale=0.3)], [np.arange(6.0)])
    assert wild.low < wild.rho <= wild.high <= 1


def test_the_permutation_p_is_uniform_without_a_relation():
    p = [correlate([noisy([0.5] * 5, n=4, seed=seed)], [np.arange(5.0)]).p for seed in range(150)]
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert 0.4 < np.mean(p) < 0.68


def test_several_tests_are_permuted_alike():
    scores = noisy(np.linspace(0.5, 0.9, 6), n=5)
    once, twice = correlate([scores], [np.arange(6.0)]), correlate([scores, scores], [np.arange(6.0)] * 2)
    assert (twice.p, twice.rho, twice.tests) == (pytest.approx(once.p), pytest.approx(once.rho), 2)


def test_many_orders_are_sampled_and_agree_with_scipy():
    draw = np.random.default_rng(3)
    figure = draw.normal(size=12)
    scores = (figure * 0.4 + draw.normal(size=12))[None].repeat(3, 0)
    expected = stats.spearmanr(figure, scores[0]).pvalue
    assert correlate([scores], [figure]).p == pytest.approx(expected, abs=0.03)


def test_scores_that_are_all_alike_have_no_correlation():
    found = correlate([np.full((5, 6), 0.5)], [np.arange(6.0)])
    assert math.isnan(found.rho) and found.p == 1.0
