"""The theory's figure against hand-made numbers."""

import numpy as np
import pytest

from harness.analysis.locality import blob_gaps, retention
from harness.registry.routing import scan_from
from harness.reports.scan_orders.results import results_of
from harness.reports.scan_orders.theory import TRAINED, figures_of, gaps_of, predictions_of


def test_the_figure_is_the_scan_cards_retention(winner):
    results = results_of(winner, [])[0]
    orders, scores, figures = figures_of(results.places[0], 0.9, False)
    assert scores.shape == figures.shape == (10, 6)
    for j, order in enumerate(orders):
        route = scan_from(order)[2].routes((8, 8))[0]
        assert figures[:, j] == pytest.approx(retention(blob_gaps(route, (8, 8), 3), 0.9))


def test_the_trained_figure_is_the_mean_over_the_decays_that_were_seen(winner):
    results = results_of(winner, [])[0]
    orders, _, figures = figures_of(results.places[0], TRAINED, True)
    shares = blob_gaps(scan_from(orders[0])[2].routes((8, 8))[0], (8, 8), 3, half=True)
    expected = np.mean([retention(shares, decay) for decay in np.linspace(0.4, 0.95, 32)])
    assert figures[:, 0] == pytest.approx(expected)


def test_cells_of_cut_routes_never_meet_and_layers_follow_their_own_route():
    rows = gaps_of("horizontal", (8, 8), False)
    assert rows.sum() == pytest.approx(1)
    assert 0 < gaps_of("atrous", (8, 8), False).sum() < 0.7
    np.testing.assert_array_equal(gaps_of("mamba-nd", (8, 8), False), rows)
    np.testing.assert_array_equal(gaps_of("zigma8", (8, 8), False), gaps_of("snake", (8, 8), False))


def test_attention_has_no_trained_figure(winner):
    results = results_of(winner, [])[0]
    place = next(place for place in results.places if place.beside.startswith("local-attention"))
    assert figures_of(place, TRAINED, True) is None


def test_accuracies_that_follow_the_figure_are_predicted_by_it(winner, make_study):
    results = results_of(winner, [])[0]
    orders, _, figures = figures_of(results.places[0], 0.9, True)
    levels = {order.partition(":")[0]: 0.5 + figure / 2 for order, figure in zip(orders, figures[0], strict=True)}
    followed = results_of(make_study(levels, spread=0.0), [])[0]
    for prediction in predictions_of(followed):
        assert prediction.decay == 0.9  # these records show no decays
        assert prediction.found.rho == pytest.approx(1.0)
        assert prediction.verdict.startswith("predicts the order")


def test_three_orders_are_too_few_for_a_prediction(make_study):
    records = make_study({"horizontal": 0.7, "hilbert": 0.8, "random": 0.5})
    assert all("underpowered with 3 orders" in p.verdict for p in predictions_of(results_of(records, [])[0]))
