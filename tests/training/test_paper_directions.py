"""Each verdict's direction, again at small scale with fixed seeds; fig6, table3: test_architecture_experiments."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from harness.registry.cells import Run
from harness.reports.paper import locality, majority, rates, regime, robustness, sizes, ungated
from harness.reports.paper.experiment import Results
from harness.reports.paper.study import chosen
from harness.training.execute import execute


@functools.cache
def trial(point, seed):
    record = execute(Run(cell=point.cell, seed=seed))
    assert record["status"] == "done", record["reason"]
    return record


def results_of(points, seeds=2):
    return Results([trial(p, seed) for p in points for seed in range(seeds)])


def pick(points, **facts):
    """The points whose facts have one of the named values."""
    return [p for p in points if all(p.get(name) in values for name, values in facts.items())]


def shorter(point, steps):
    text, _, rest = point.protocol.partition("steps=")
    return replace(point, protocol=f"{text}steps={steps},{rest.partition(',')[2]}")


def checks_of(name, results):
    (experiment,) = chosen([name])
    return [check for check in experiment.judge(results) if check.holds is not None]


def test_fig1_a_larger_gap_takes_fewer_epochs():
    points = pick(chosen(["fig1"])[0].points, N=[50], gap=[0.2, 0.267, 0.333])
    (check,) = checks_of("fig1", results_of(points))
    assert check.holds


@pytest.mark.parametrize("name", ["fig2", "fig5"])
def test_fig2_and_fig5_gate_and_rows_turn_to_their_patterns(name):
    results = results_of(chosen([name])[0].points, seeds=3)
    assert [check.holds for check in checks_of(name, results)] == [True, True, True]


def test_fig11_without_the_gate_majority_is_as_accurate_and_slower():
    gated, ungated = pick(chosen(["fig11"])[0].points, tau=[0.01], gap=[0.4])
    results = results_of([gated, ungated])
    assert np.mean(results.values(gated, "test_accuracy")) <= np.mean(results.values(ungated, "test_accuracy")) + 0.001
    assert max(results.values(gated, "steps_to_convergence")) < min(results.values(ungated, "steps_to_convergence"))


def test_fig13_and_fig16_dimensions_hardly_matter():
    for points in (
        pick(chosen(["fig13"])[0].points, gap=[0.267], d=[32, 64]),
        pick(sizes.LOCALITY_DIM_POINTS, d=[32, 64]),
    ):
        results = results_of(points)
        few, many = (np.mean(results.values(p, "steps_to_convergence")) for p in points)
        assert many == pytest.approx(few, rel=0.25)


def test_fig14_more_confusing_tokens_take_more_epochs():
    few, some = pick(chosen(["fig14"])[0].points, alpha_c=[0.067, 0.2])
    results = results_of([few, some])
    assert max(results.values(few, "steps_to_convergence")) < min(results.values(some, "steps_to_convergence"))


def test_fig15_and_fig18_few_samples_leave_test_loss():
    for points in (
        pick(chosen(["fig15"])[0].points, d=[32], N=[10, 160]),
        pick(sizes.SAMPLE_POINTS, N=[125, 1000]),
    ):
        results = results_of(points)
        few, many = (np.mean(results.values(p, "test_loss")) for p in points)
        assert few > 2 * many


def test_fig3_and_thm2_distance_slows_less_than_a_held_gate_would():
    points = pick(rates.LOCALITY_POINTS, L=[12], eta=[1000.0])[:3]
    held = pick(rates.HELD_POINTS, L=[12], eta=[200.0])[:2]
    results = results_of([*points, *held])
    trained, frozen = (rates.fit(results, some, ["D"]).exponents["D"].value for some in (points, held))
    assert -1.5 < trained < -0.6
    assert -2.4 < frozen < -1.4


def test_fig4_and_sign_irrelevant_gates_turn_negative_from_near_2_on():
    first, _, third, *_ = (shorter(p, 600) for p in locality.GATE_POINTS)
    results = results_of([first, third])
    assert min(results.at(first, "gate_input_irrelevant")) > 0
    assert max(results.at(third, "gate_input_irrelevant")) < -0.25
    assert np.abs(locality.relevant_gate(third)(results)).max() < 0.5


def test_fig12_under_noise_the_gate_is_worth_accuracy():
    gated, free = (shorter(p, 1000) for p in pick(ungated.LOCALITY_POINTS, near=[5], tau=[0.01]))
    results = results_of([gated, free])
    assert min(results.values(gated, "test_accuracy")) > max(results.values(free, "test_accuracy")) + 0.05


def test_fig17_a_closer_far_pair_takes_more_epochs():
    near, _, far = chosen(["fig17"])[0].points
    results = results_of([near, far], seeds=1)
    assert results.values(near, "steps_to_convergence")[0] > 2 * results.values(far, "steps_to_convergence")[0]


def test_regime_equal_long_steps_swing_and_a_bounded_one_converges():
    equal = shorter(regime.POINTS[2], 200)
    used = regime.USED
    results = results_of([equal, used])
    assert max(results.values(equal, "test_accuracy")) < 0.9
    assert all(steps is not None for steps in results.values(used, "steps_to_convergence"))


def test_thm1_epochs_scale_with_the_gap_and_the_step_but_not_with_the_length():
    points = [
        p
        for p in rates.MAJORITY_POINTS
        if p.get("d") == 32 and p.get("gap") > 0.15 and p.get("L") <= 30 and p.get("eta") > 0.3
    ]
    exponents = rates.fit(results_of(points, seeds=2), points, ["gap", "L", "eta"]).exponents
    assert exponents["gap"].value == pytest.approx(-2, abs=0.35)
    assert exponents["L"].value == pytest.approx(0, abs=0.4)
    assert exponents["eta"].value == pytest.approx(-1, abs=0.2)


def test_robustness_heavy_tails_leave_the_picture():
    points = [
        shorter(pick(robustness.MAJORITY_POINTS, variant=["Student t, tau .1"])[0], 300),
        shorter(pick(robustness.LOCALITY_POINTS, variant=["tau .003"])[0], 500),
    ]
    results = results_of(points)
    for p in points:
        relevant, irrelevant = locality.relevant_gate(p)(results), results.at(p, "gate_input_irrelevant")
        assert min(np.subtract(relevant, irrelevant)) > 0


def test_majority_settings_hold_the_gap_that_they_name():
    for gap in majority.GAPS:
        from harness.registry.cells import parse_task

        more, fewer = parse_task(majority.majority(gap=gap, facts={}).task).counts
        assert (more - fewer, more + fewer) == (gap, 18)
