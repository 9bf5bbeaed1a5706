"""What experiments of the paper measure, at small scale with fixed seeds; verdicts: reports/paper/test_directions."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from harness.registry.cells import Run
from harness.reports.paper import locality, majority, regime, robustness, sizes, ungated
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


@pytest.mark.slow
def test_fig13_and_fig16_dimensions_hardly_matter():
    for points in (
        pick(chosen(["fig13"])[0].points, gap=[0.267], d=[32, 64]),
        pick(sizes.LOCALITY_DIM_POINTS, d=[32, 64]),
    ):
        results = results_of(points)
        few, many = (np.mean(results.values(p, "steps_to_convergence")) for p in points)
        assert many == pytest.approx(few, rel=0.25)


@pytest.mark.slow
def test_fig15_and_fig18_few_samples_leave_test_loss():
    for points in (
        pick(chosen(["fig15"])[0].points, d=[32], N=[10, 160]),
        pick(sizes.SAMPLE_POINTS, N=[125, 1000]),
    ):
        results = results_of(points)
        few, many = (np.mean(results.values(p, "test_loss")) for p in points)
        assert few > 2 * many


@pytest.mark.slow
def test_fig12_under_noise_the_gate_is_worth_accuracy():
    gated, free = (shorter(p, 1000) for p in pick(ungated.LOCALITY_POINTS, near=[5], tau=[0.01]))
    results = results_of([gated, free])
    assert min(results.values(gated, "test_accuracy")) > max(results.values(free, "test_accuracy")) + 0.05


def test_regime_equal_long_steps_swing_and_a_bounded_one_converges():
    equal = shorter(regime.POINTS[2], 200)
    used = regime.USED
    results = results_of([equal, used])
    assert max(results.values(equal, "test_accuracy")) < 0.9
    assert all(steps is not None for steps in results.values(used, "steps_to_convergence"))


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
