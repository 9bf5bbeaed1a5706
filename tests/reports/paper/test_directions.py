"""Each verdict's direction once more, from a few short trials of the study's own points."""

import pytest

from harness.registry.cells import Run
from harness.reports.paper import descent, locality, majority, rates, sizes, ungated
from harness.reports.paper.evidence import fit, last, to_convergence, trend
from harness.reports.paper.experiment import Results, Verdict
from harness.training.execute import execute


def trained(points, seeds=2):
    """The points' own runs, whole."""
    records = [execute(Run(cell=p.cell, seed=seed)) for p in points for seed in range(seeds)]
    assert all(record["status"] == "done" for record in records)
    return Results(records)


def at(points, **facts):
    """The point with these facts."""
    (found,) = (p for p in points if all(p.get(name) == value for name, value in facts.items()))
    return found


def test_fig1_a_larger_gap_takes_fewer_epochs():
    points = [at(majority.GAP_POINTS, N=100, gap=gap) for gap in (0.2, 0.4)]
    assert trend(points, "gap", "falls", falls=True)(trained(points, 3), 0.95).verdict is Verdict.SHOWN


def test_fig2_and_fig5_directions_turn_towards_class_patterns():
    p = majority.DIRECTIONS
    results = trained([p])
    for name in ("gate_cosine_plus", "gate_cosine_minus"):
        assert min(last(p, name)(results)) > 0.3
    for sign, role, other in (("positive", "plus", "minus"), ("negative", "minus", "plus")):
        own, wrong = (last(p, f"hidden_{sign}_{each}")(results) for each in (role, other))
        assert all(a > b + 0.1 for a, b in zip(own, wrong, strict=True))


def test_fig3_a_larger_distance_slows_convergence():
    points = [at(locality.NEAR_POINTS, near=near) for near in (1, 2)]
    assert trend(points, "near", "rises")(trained(points, 3), 0.95).verdict is Verdict.SHOWN


@pytest.mark.slow
def test_fig4_and_sign_the_gate_ignores_irrelevant_tokens_where_one_stands_between():
    beside, between = (at(locality.GATE_POINTS, near=near) for near in (1, 3))
    results = trained([beside, between])
    assert max(locality.irrelevant_gate(between)(results)) < -0.25
    assert min(locality.irrelevant_gate(beside)(results)) > -0.02


def test_fig11_majority_without_noise_is_at_the_ceiling_with_or_without_the_gate():
    gated, held = (at(ungated.MAJORITY_POINTS, gap=0.4, tau=0.01, gate=gate) for gate in ungated.GATES)
    check = ungated.without_the_gate([gated, held], "gap")[0](trained([gated, held]), 0.95)
    assert (check.verdict, check.why) == (Verdict.NOT_DECIDED, "both at the ceiling")


@pytest.mark.slow
def test_fig14_more_confusing_tokens_take_more_epochs():
    points = sizes.CONFUSING_POINTS[:2]
    assert trend(points, "alpha_c", "rises")(trained(points, 3), 0.95).verdict is Verdict.SHOWN


@pytest.mark.slow
def test_fig17_a_far_pair_that_stands_closer_takes_more_epochs():
    far = [sizes.CLOSENESS[0], sizes.CLOSENESS[-1]]
    assert trend(far, "closeness", "rises")(trained(far), 0.95).verdict is Verdict.SHOWN


@pytest.mark.slow
def test_fig16_dimensions_hardly_matter():
    points = [sizes.LOCALITY_DIM_POINTS[0], sizes.LOCALITY_DIM_POINTS[-1]]
    assert trend(points, "d", "rises", by=1.5)(trained(points, 3), 0.95).verdict is Verdict.TOO_SMALL


@pytest.mark.slow
def test_thm1_the_powers_of_the_gap_and_of_the_step():
    gaps = [p for p in rates.MAJORITY_POINTS[1:5]]
    law = fit(trained(gaps), gaps, ["gap"], to_convergence)
    assert law is not None and -2.5 < law.exponents["gap"].value < -1.5
    rated = [at(rates.MAJORITY_POINTS, gap=0.2, L=30, d=32, eta=eta) for eta in (1.0, 4.0)]
    law = fit(trained(rated, 3), rated, ["eta"], to_convergence)
    assert law is not None and -1.25 < law.exponents["eta"].value < -0.75


@pytest.mark.slow
def test_thm2_equal_steps_are_nearer_to_the_theorem_than_frozen_gates_are():
    """To loss .9 between near 1 and near 2: about D^-1.1 with the gate trained, D^-2 without."""
    equal = [at(descent.SHORT_POINTS, near=near, eta=5.0) for near in (1, 2)]
    frozen = [at(descent.FROZEN_POINTS, near=near) for near in (1, 2)]
    slopes = {}
    for name, points, end in (("equal", equal, descent.to_first), ("frozen", frozen, descent.to_half)):
        law = fit(trained(points), points, ["D"], end)
        assert law is not None
        slopes[name] = law.exponents["D"].value
    assert -1.5 < slopes["equal"] < -0.8
    assert -2.2 < slopes["frozen"] < -1.7
