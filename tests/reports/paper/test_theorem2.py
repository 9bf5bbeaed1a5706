"""Theorem 2's section, on trials whose exponents are known because they were made up."""

import math
import re

import numpy as np
import pytest

from harness.registry.cells import protocol_of
from harness.reports.paper import descent, gates, locality, theorem2
from harness.reports.paper.experiment import Results, Verdict, verdict
from harness.reports.paper.exponents import neighbours

from .test_experiments import record_of

POINTS = [*descent.EQUAL_POINTS, *(p for star in descent.STARS.values() for p in star), *descent.FROZEN_POINTS]


def results_of(power, seeds=4, late=math.inf):
    """Trials whose loss falls in a straight line, to .9 after 20 D^power(p) L^2 / eta epochs; none past `late`."""
    draw = np.random.default_rng(0)
    records = []
    for p in dict.fromkeys([*POINTS, *locality.NEAR_POINTS]):
        facts = {"ratio": 1.0, "eta": 5.0, "L": 12, "D": descent.distance(p.get("near"))} | dict(p.facts)
        for seed in range(seeds):
            first = 20 * facts["D"] ** power(facts) * facts["L"] ** 2 / facts["eta"] * math.exp(0.03 * draw.normal())
            steps = np.linspace(0, 6 * first, 121).round(1)
            losses = np.maximum(1 - 0.1 * steps / first, 0.4)
            losses = np.where(steps > late, 1.0, losses) if p in POINTS else losses
            curve = {"step": steps.tolist(), "test_loss": losses.tolist()}
            records.append(record_of(p, seed, budget=6 * first) | {"curve": curve})
    return Results(records)


def judged(experiment, results):
    return {check.statement: check for check in experiment.judge(results)}


def test_a_rate_as_the_theorem_says_is_shown():
    (thm2,) = theorem2.EXPERIMENTS
    results = results_of(lambda facts: -1.0)
    found = [check for check in judged(thm2, results).values() if "exponent" in check.statement]
    assert len(found) == 12 and {check.verdict for check in found} == {Verdict.SHOWN}
    text = theorem2.finding(results)
    written = [float(number) for number in re.findall(r"(?:D|L|eta)\^(-?[\d.]+) \[", text)]
    assert written == pytest.approx([-1, 2, -1], abs=0.03) and "hardly bends" in text
    rows = thm2.rows(results)
    assert any(row["exponent of"].startswith("D, 0.498 to 0.248") for row in rows)


def test_a_slope_that_flattens_is_told_step_by_step():
    bend = descent.distance(2)

    def flattening(facts):
        """-1 down to near 2, then -1/2: as the power of D that gives the same epochs."""
        d = facts["D"]
        return -1.0 if d >= bend else math.log(bend**-0.5 * d**-0.5) / math.log(d)

    (thm2,) = theorem2.EXPERIMENTS
    results = results_of(flattening)
    assert "not one number" in theorem2.finding(results)
    checks = judged(thm2, results)
    slopes = [check for statement, check in checks.items() if "between near" in statement and "loss .9" in statement]
    assert [check.verdict for check in slopes][0] is Verdict.SHOWN
    assert {check.verdict for check in slopes[1:]} == {Verdict.CONTRADICTED}
    assert verdict(list(checks.values())) is Verdict.MIXED


def test_the_gates_step_moves_the_exponent_from_minus_two():
    (experiment,) = gates.EXPERIMENTS
    results = results_of(lambda facts: -2.0 if facts["ratio"] == 0 else -1.0)
    assert {check.verdict for check in judged(experiment, results).values()} == {Verdict.SHOWN}
    rows = experiment.rows(results)
    assert [row["step of w_D / step of W_O"] for row in rows] == ["0", "0.01", "0.1", "0.3", "1"]
    assert rows[0]["exponent of D"].startswith("-2.0") or rows[0]["exponent of D"].startswith("-1.9")
    same = results_of(lambda facts: -1.0)
    against = judged(experiment, same)
    assert against["the exponent of D with equal steps lies above that with frozen gates"].verdict is Verdict.TOO_SMALL
    assert Verdict.CONTRADICTED in {check.verdict for check in against.values()}


def test_trials_that_a_budget_cut_off_decide_nothing_by_themselves():
    (thm2,) = theorem2.EXPERIMENTS
    checks = judged(thm2, results_of(lambda facts: -1.0, late=1.0))
    found = [check for check in checks.values() if "exponent" in check.statement]
    assert {(check.verdict, check.why) for check in found} == {(Verdict.NOT_DECIDED, "budget too short")}


def test_the_first_picture_has_both_slopes_and_three_regimes():
    results = results_of(lambda facts: -1.0)
    figure = theorem2.draw_regimes(results)
    assert figure is not None
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert len([label for label in labels if label.startswith("slope")]) == 2 and len(labels) == 5
    assert theorem2.draw_regimes(Results([])) is None
    for experiment in (*theorem2.EXPERIMENTS, *gates.EXPERIMENTS):
        assert experiment.draw(results, experiment.points) is not None
        assert experiment.draw(Results([]), experiment.points) is None


@pytest.mark.parametrize("p", descent.EQUAL_POINTS, ids=lambda p: p.label)
def test_equal_steps_are_constant_and_equal(p):
    recipe = protocol_of(p.cell)
    assert (recipe.mixer_rate, recipe.mixer_step, recipe.schedule) == (1.0, 0.0, "constant")
    assert recipe.population and recipe.learning_rate == p.get("eta") in descent.RATES
    assert recipe.steps / recipe.evaluate_every <= 400  # the stored curve holds every look


def test_neighbours_share_all_but_one_fact():
    pairs = neighbours(descent.SHORT_POINTS, "D")
    assert [(round(a, 3), round(b, 3), len(points)) for a, b, points in pairs][0] == (0.498, 0.248, 8)
    assert len(pairs) == 4
