import math

import pytest

from harness.contracts.errors import UserError
from harness.reports.paper.evidence import end_loss, exceeds, fit, lies, trend, weigh
from harness.reports.paper.experiment import LADDER, Check, Results, Verdict, bisect, counts, point, verdict
from harness.reports.paper.exponents import exponent_check
from harness.reports.paper.rates import need_grows_within
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
    assert all(check.verdict is Verdict.NOT_DECIDED and check.statement for check in checks)
    assert all(check.matters for check in checks)  # a smallest effect is declared, whatever the trials say
    experiment.rows(empty)


def record_of(p, seed, steps=None, accuracy=1.0, status="done", budget=100):
    cell = p.cell
    return {
        **{name: getattr(cell, name) for name in ("task", "architecture", "scan", "protocol")},
        **{"seed": seed, "lr_selection": None, "status": status, "step_budget": budget},
        **{"steps_to_convergence": steps, "steps_to_threshold": steps, "test_accuracy": accuracy, "curve": None},
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


def steps_at(steps, seeds=5):
    """Points at x = 1, 2, ... with the steps given, and a few per cent from seed to seed."""
    points = [point("majority", "mean-pool", f"paper:samples={8 + n}", x=n + 1) for n in range(len(steps))]
    pairs = [(p, s, seed) for p, s in zip(points, steps, strict=True) for seed in range(seeds)]
    records = [
        record_of(p, seed, steps=None if s is None else s * (100 + seed) // 100, budget=10**6) for p, s, seed in pairs
    ]
    return points, Results(records)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ((1000, 2000, 3000, 4000), Verdict.SHOWN),
        ((4000, 2000, 1300, 1000), Verdict.CONTRADICTED),
        ((1000, 1020, 1040, 1060), Verdict.TOO_SMALL),
        ((1000, 1200, 3000, None), Verdict.SHOWN),
        ((None, None, None, None), Verdict.NOT_DECIDED),
    ],
)
def test_a_trend_weighs_how_much_later_trials_arrive(steps, found):
    points, results = steps_at(steps)
    check = trend(points, "x", "rises")(results, 0.95)
    assert check.verdict is found, check
    opposite = {Verdict.SHOWN: Verdict.CONTRADICTED, Verdict.CONTRADICTED: Verdict.SHOWN}
    assert trend(points, "x", "falls", falls=True)(results, 0.95).verdict is opposite.get(found, found)
    if found is Verdict.NOT_DECIDED:
        assert check.why == "budget too short"


def test_an_end_point_on_a_curve_is_known_between_two_looks():
    curve = {"step": [0, 10, 20, 30], "test_loss": [1.0, 0.95, 0.85, 0.4]}
    p = point("majority", "mean-pool", "paper", x=1)
    assert end_loss(0.9)({"curve": curve}, p) == (10, 20)
    assert end_loss(0.5)({"curve": curve}, p) == (20, 30)
    assert end_loss(0.1)({"curve": curve}, p) is None
    assert end_loss(0.1)({"curve": None}, p) is None


@pytest.mark.parametrize(
    ("power", "found"), [(-1.0, Verdict.SHOWN), (-2.0, Verdict.CONTRADICTED), (-1.25, Verdict.NOT_DECIDED)]
)
def test_an_exponent_is_held_against_the_theorems(power, found):
    points, results = steps_at([round(1e5 * x**power) for x in (1, 2, 3, 4)])
    end = lambda record, p: (record["steps_to_convergence"] - 1, record["steps_to_convergence"])  # noqa: E731
    check = exponent_check(points, ["x"], "x", -1.0, end=end, statement="as the theorem says")(results, 0.95)
    assert check.verdict is found, check
    law = fit(results, points, ["x"], end)
    assert law is not None and law.exponents["x"].value == pytest.approx(power, abs=0.03)


def test_needing_fewer_samples_than_enough_refutes_nothing():
    def verdict_of(base, harder):
        def family_at(smallest, label):
            return lambda n: point("majority", "gated-ssm", f"paper:samples={n},steps={smallest}", N=n, label=label)

        families = [family_at(smallest, smallest) for smallest in (base, harder)]
        records: list = []
        for smallest, one in zip((base, harder), families, strict=True):
            records += [record_of(one(n), s, steps=9 if n >= smallest else None) for n in LADDER for s in range(3)]
        return need_grows_within(*families, 4, "at most 4 times")(Results(records), 0.95).verdict

    assert verdict_of(64, 65) is Verdict.SHOWN
    assert verdict_of(16, 1024) is Verdict.CONTRADICTED
    assert verdict_of(64, 256) is Verdict.NOT_DECIDED


def test_a_run_that_diverged_did_not_arrive():
    p = point("majority", "mean-pool", "paper", x=1)
    results = Results(
        [record_of(p, 0, steps=5), record_of(p, 1, status="diverged"), record_of(p, 2, status="diverged")]
    )
    median = results.steps(p)
    assert (median.n, median.reached, median.value) == (3, 1, math.inf)
    assert len(results.done(p)) == 1
    assert results.values(p, "test_accuracy") == [1.0, 0.5, 0.5]  # chance, in checks and tables alike


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.06, 0.2, Verdict.SHOWN),
        (0.0, 0.2, Verdict.NOT_DECIDED),
        (-0.01, 0.04, Verdict.TOO_SMALL),
        (0.01, 0.04, Verdict.TOO_SMALL),  # told from 0, and worth nothing
        (-0.3, -0.06, Verdict.CONTRADICTED),
        (-0.3, 0.01, Verdict.NOT_DECIDED),
    ],
)
def test_an_effect_is_weighed_by_its_whole_interval(low, high, found):
    assert weigh(low, high, 0.05) is found


def test_what_each_kind_of_check_says():
    def given(*values):
        return lambda _: values

    def told(check):
        return check(Results([]), 0.95).verdict

    assert told(lies(given(0.5, 0.6, 0.55), "high", above=0.3)) is Verdict.SHOWN
    assert told(lies(given(0.2, 0.9, 0.55), "high", above=0.3)) is Verdict.NOT_DECIDED
    assert told(lies(given(0.1, 0.11, 0.12), "high", above=0.3)) is Verdict.CONTRADICTED
    assert told(lies(given(0.5), "high", above=0.3)) is Verdict.NOT_DECIDED
    ahead, behind = given(1.0, 1.1, 1.2), given(0.5, 0.6, 0.7)
    assert told(exceeds(ahead, behind, "more", by=0.1)) is Verdict.SHOWN
    assert told(exceeds(behind, ahead, "more", by=0.1)) is Verdict.CONTRADICTED
    assert told(exceeds(ahead, behind, "more", by=0.6)) is Verdict.TOO_SMALL
    assert told(exceeds(given(1.0, 1.1), behind, "more", by=0.1)) is Verdict.NOT_DECIDED
    ceiling = exceeds(given(1.0, 0.999), given(1.0, 1.0), "more", by=0.01, accuracy=True)(Results([]), 0.95)
    assert (ceiling.verdict, ceiling.why) == (Verdict.NOT_DECIDED, "both at the ceiling")


def test_more_checks_take_wider_intervals():
    values = (0.4, 0.5, 0.6, 0.5)
    check = lies(lambda _: values, "high", above=0.3)
    assert check(Results([]), 0.95).verdict is Verdict.SHOWN
    assert check(Results([]), 1 - 0.05 / 50).verdict is Verdict.NOT_DECIDED
    assert all(each.level == pytest.approx(1 - 0.05 / len(each.checks)) for each in EXPERIMENTS)


def test_a_claims_verdict_is_what_its_checks_say_alike():
    def checks(*found):
        return [Check(statement="", verdict=each, numbers="", matters="") for each in found]

    shown, against, undecided = Verdict.SHOWN, Verdict.CONTRADICTED, Verdict.NOT_DECIDED
    assert verdict(checks(shown, shown)) is shown
    assert verdict(checks(against)) is against
    assert verdict(checks(shown, against)) is Verdict.MIXED
    assert verdict(checks(shown, undecided)) is Verdict.PARTLY
    assert verdict(checks(against, undecided)) is Verdict.MIXED
    assert verdict(checks(undecided, undecided)) is verdict([]) is undecided
    assert counts(checks(undecided, shown, shown)) == "2 shown, 1 not decided"


def test_tuned_and_untuned_trials_do_not_mix():
    tuned = point("majority", "mean-pool", "paper:learning_rate=1", tune=True)
    untuned = point("majority", "mean-pool", "paper:learning_rate=1")
    record = record_of(untuned, 0) | {"lr_selection": {"rates": [1, 3], "seeds": 2}}
    chosen_rate = point("majority", "mean-pool", "paper:learning_rate=3").cell.protocol
    results = Results([record | {"protocol": chosen_rate}])
    assert len(results.of(tuned)) == 1 and not results.of(untuned)
