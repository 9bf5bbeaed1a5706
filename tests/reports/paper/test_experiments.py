import math

import pytest

from harness.contracts.errors import UserError
from harness.reports.paper.evidence import exceeds, lies, trend
from harness.reports.paper.experiment import LADDER, Check, Results, bisect, point, verdict
from harness.reports.paper.study import EXPERIMENTS, ORDER, chosen
from harness.training.build import check_cell

ASKED = {f"fig{n}" for n in (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 17, 18)} | {"table3", "thm1", "thm2"}


def test_every_claim_has_an_experiment():
    assert set(ORDER) == {experiment.id for experiment in EXPERIMENTS}
    assert set(ORDER) >= ASKED
    assert [experiment.id for experiment in chosen(["thm1", "fig2"])] == ["fig2", "thm1"]
    with pytest.raises(UserError, match="'fig7' is no experiment"):
        chosen(["fig7"])


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.id)
def test_an_experiment_knows_what_to_run_and_decides_nothing_before(experiment):
    empty = Results([])
    points = experiment.asked(empty)
    assert points and len(set(points)) == len(points)
    for p in points:
        p.cell.check()
    check_cell(points[0].cell)
    checks = experiment.judge(empty)
    assert checks and verdict(checks) == "not decided"
    assert all(check.holds is None and check.statement for check in checks)
    experiment.rows(empty)


def record_of(p, seed, steps=None, accuracy=1.0, status="done", budget=100):
    cell = p.cell
    return {
        **{name: getattr(cell, name) for name in ("task", "architecture", "scan", "protocol")},
        **{"seed": seed, "lr_selection": None, "status": status, "step_budget": budget},
        **{"steps_to_convergence": steps, "steps_to_threshold": steps, "test_accuracy": accuracy, "curve": {}},
    }


def family(n):
    return point("majority", "gated-ssm:train_projections=false", f"paper:samples={n}", N=n)


@pytest.mark.parametrize("smallest", [1, 8, 45, 128, 4096, 5000])
def test_the_bisection_brackets_the_smallest_number_that_works(smallest):
    records, rounds = [], 0
    while True:
        points, fails, works = bisect(Results(records), family)
        new = [p for p in points if not Results(records).of(p)]
        if not new:
            break
        rounds += 1
        records += [record_of(p, s, steps=9 if p.get("N") >= smallest else None) for p in new for s in range(3)]
    assert works - fails == 1 and rounds <= math.ceil(math.log2(len(LADDER) + 1))
    assert works == len(LADDER) or LADDER[works] >= smallest
    assert fails < 0 or LADDER[fails] < smallest


def test_a_trend_counts_trials_that_never_arrived_as_the_latest():
    points = [point("majority", "mean-pool", f"paper:samples={n}", x=n) for n in (1, 2, 3, 4)]
    steps = {1: 10, 2: 20, 3: 30, 4: None}
    results = Results([record_of(p, seed, steps=steps[p.get("x")]) for p in points for seed in range(5)])
    assert trend(points, "x", "rises")(results).holds is True
    assert trend(points, "x", "falls", falls=True)(results).holds is False
    only = Results([record_of(points[0], seed, steps=3) for seed in range(5)])
    assert trend(points, "x", "rises")(only).holds is None


def test_a_run_that_diverged_did_not_arrive():
    p = point("majority", "mean-pool", "paper", x=1)
    results = Results(
        [record_of(p, 0, steps=5), record_of(p, 1, status="diverged"), record_of(p, 2, status="diverged")]
    )
    median = results.steps(p)
    assert (median.n, median.reached, median.value) == (3, 1, math.inf)
    assert len(results.done(p)) == 1
    assert results.values(p, "test_accuracy") == [1.0, 0.5, 0.5]  # chance, in checks and tables alike


def test_checks_hold_where_the_whole_interval_does():
    def given(*values):
        return lambda _: values

    def holds(check):
        return check(Results([])).holds

    assert holds(lies(given(0.5, 0.6, 0.55), "high", above=0.3)) is True
    assert holds(lies(given(0.2, 0.9, 0.55), "high", above=0.3)) is False
    assert holds(lies(given(0.5), "high", above=0.3)) is None
    assert holds(exceeds(given(1.0, 1.1, 1.2), given(0.5, 0.6, 0.7), "more")) is True
    assert holds(exceeds(given(1.0, 0.4, 1.2), given(0.5, 0.6, 0.7), "more")) is False
    assert holds(exceeds(given(1.0, 1.1), given(0.5, 0.6, 0.7), "more")) is None


def test_a_verdict_follows_from_its_checks():
    def checks(*holds):
        return [Check(statement="", holds=h, numbers="") for h in holds]

    assert verdict(checks(True, True)) == "shown"
    assert verdict(checks(True, False)) == "partly"
    assert verdict(checks(False, False)) == "not shown"
    assert verdict(checks(True, None)) == "not decided"
    assert verdict([]) == "not decided"


def test_tuned_and_untuned_trials_do_not_mix():
    tuned = point("majority", "mean-pool", "paper:learning_rate=1", tune=True)
    untuned = point("majority", "mean-pool", "paper:learning_rate=1")
    record = record_of(untuned, 0) | {"lr_selection": {"rates": [1, 3], "seeds": 2}}
    chosen_rate = point("majority", "mean-pool", "paper:learning_rate=3").cell.protocol
    results = Results([record | {"protocol": chosen_rate}])
    assert len(results.of(tuned)) == 1 and not results.of(untuned)
