"""Figure 6 and table 3: their points are cells, their checks speak of runs; what is cheap to re-check is re-checked."""

import pytest
import torch

from harness.contracts.errors import UserError
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.registry.specs import Spec, format_spec, parse_spec
from harness.reports.paper import architectures, stacks
from harness.reports.paper.experiment import Results, Verdict, verdict
from harness.training.build import check_cell
from harness.training.execute import execute
from harness.training.paper.alignment import Alignment

EXPERIMENTS = [*architectures.EXPERIMENTS, *stacks.EXPERIMENTS]
SEEDS = (0, 1, 2)


def shortened(p, seed, rate=None, **changes):
    """A point's run with some of its protocol changed, and recorded as if nothing had been."""
    spec = parse_spec(p.cell.protocol, axis="protocol")
    rate = {} if rate is None else {"learning_rate": repr(rate)}
    parameters = {**spec.parameters, **rate, **{name: str(value) for name, value in changes.items()}}
    protocol = format_spec(Spec(name=spec.name, parameters=parameters))
    record = execute(Run(cell=cell_from(p.cell.task, p.cell.architecture, p.cell.scan, protocol), seed=seed))
    assert record["status"] == "done", record.get("traceback", record["reason"])
    selection = {"rates": [0.1, 0.3], "seeds": 2} if p.tune else None
    return record | {"protocol": p.cell.protocol, "lr_selection": selection}


def trained(p, rate=None, **changes):
    return [shortened(p, seed, rate, **changes) for seed in SEEDS]


@pytest.mark.parametrize("p", [p for e in EXPERIMENTS for p in e.points], ids=lambda p: p.label)
def test_points_are_cells_that_can_be_built(p):
    p.cell.check()
    check_cell(p.cell)


def test_mixers_differ_in_nothing_but_the_architecture():
    short = [p for p in architectures.POINTS if p.tune]
    assert {p.get("mixer") for p in short} == set(architectures.MIXERS)
    assert len({p.cell.protocol for p in short}) == 1
    assert len({(p.cell.task, p.cell.architecture) for p in short}) == len(short)
    assert len([p for p in short if p.get("placement") == "matched"]) == len(architectures.MIXERS)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_a_few_short_trials_are_judged_tabled_and_drawn(experiment):
    points = [
        p for p in experiment.points if dict(p.facts).get("mixer") not in architectures.MATCHED_ONLY
    ]  # no check reads those
    tiny = {"steps": 1, "samples": 4, "evaluate_every": 1, "test_samples": 20, "validation_samples": 20}
    results = Results([shortened(p, seed, **tiny) for p in points for seed in SEEDS[:2]])
    checks = experiment.judge(results)
    assert all("n=2" in check.numbers for check in checks)
    assert len({check.statement for check in checks}) == len(checks)
    rows = experiment.rows(results)
    assert len(rows) == len(points) and len({tuple(row) for row in rows}) == 1
    figure = experiment.draw(results, experiment.points)
    assert any(axis.lines for axis in figure.axes)


def test_without_trials_nothing_is_decided():
    for experiment in EXPERIMENTS:
        assert verdict(experiment.judge(Results([]))) is Verdict.NOT_DECIDED
        assert experiment.rows(Results([])) == []


@pytest.mark.parametrize("placement", architectures.PLACEMENTS)
def test_the_gated_block_leaves_blind_attention_at_chance(placement):
    points = [architectures.mixing(placement, mixer) for mixer in ("gated SSM", "global attention")]
    records = [
        record
        for p, rate in zip(points, (300.0, 10.0), strict=True)
        for record in trained(p, rate, steps=250, evaluate_every=125, test_samples=1000)
    ]
    results = Results(records)
    gated, blind = (results.values(p, "test_accuracy") for p in points)
    assert min(gated) > 0.9
    assert all(abs(accuracy - 0.5) < 0.06 for accuracy in blind)
    checks = {
        check.statement.partition(": ")[2]: check
        for check in (c(results, 0.95) for c in architectures.order_checks(placement))
    }
    assert checks["global attention, which cannot see order, ends within .05 of chance"].verdict is Verdict.SHOWN
    assert checks["the gated SSM is above local attention, window 2, at the end"].verdict is Verdict.NOT_DECIDED


def test_where_hidden_rows_are_quick_they_align_and_gates_hardly_move():
    p = stacks.stack("majority", 2, stacks.QUICK)
    results = Results(trained(p, steps=20, evaluate_every=10))
    own, other = stacks.own_pattern(p)(results), stacks.irrelevant_patterns(p)(results)
    assert min(own) > 0.3 and max(abs(value) for value in other) < 0.1
    start, end = (results.at(p, "gate_alignment_relevant", index) for index in (0, -1))
    assert all(abs(a - b) < 0.1 for a, b in zip(start, end, strict=True))


def test_alignments_of_a_random_direction_are_the_same_for_either_kind_of_pattern():
    cell = cell_from(
        "majority:length=10,relevant=0.4,confusing=0.2,dim=32", "mamba", "horizontal", "paper:hidden=20000"
    )
    model = protocol_of(cell).build(cell, task_of(cell), seed=0)
    alignment = Alignment(model, torch.eye(32))
    alignment.record()
    for role in ("relevant", "irrelevant"):
        assert alignment.values[f"hidden_alignment_{role}"][0] == pytest.approx(32**-0.5, rel=0.02)
    gates = torch.nn.functional.normalize(model.first_mixer.gate_directions().detach(), dim=1)
    relevant, irrelevant = gates[:, :2].square().mean().sqrt(), gates[:, 2:].square().mean().sqrt()
    assert alignment.values["gate_alignment_relevant"] == [pytest.approx(float(relevant), abs=1e-5)]
    assert alignment.values["gate_alignment_irrelevant"] == [pytest.approx(float(irrelevant), abs=1e-5)]


def test_no_matched_placement_holds_the_far_pair_of_the_other_figures():
    """Why figure 6 has far=6 where the other locality figures have 9."""
    with pytest.raises(UserError, match="placement=matched needs room"):
        cell_from("locality:length=12,near=2,far=9,placement=matched", "mean-pool", "horizontal", "paper").check()
