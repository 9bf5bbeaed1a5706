"""Robustness: the two pictures under other noise, signs, projections and initializations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.statistics import mean_interval

from .evidence import exceeds
from .experiment import Check, Experiment, Point, Results, columns
from .locality import SETTING as LOCALITY_SETTING
from .locality import locality, relevant_gate
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATED = "gated-ssm:train_projections="
BUDGET = 500


def majority_points() -> list[Point]:
    """Variants of the majority setting at gap .2, N=400."""

    def one(name: str, **change: str) -> Point:
        return majority(facts={"data": "majority", "variant": name}, budget=BUDGET, **change)  # pyright: ignore

    return [
        one("as above"),
        one("tau .1", noise="noise=0.1"),
        one("tau .3", noise="noise=0.3"),
        one("Student t, tau .1", noise="noise=0.1,noise_kind=student"),
        one("correlated, tau .1", noise="noise=0.1,noise_kind=correlated"),
        one("v of independent signs", protocol=",signs=random"),
        one("W_B, W_C Gaussian", architecture=f"{GATED}false,projection=gaussian"),
        one("W_B, W_C trained", architecture=f"{GATED}true"),
        one("xi .001", protocol=",init_scale=0.001"),
        one("xi .1", protocol=",init_scale=0.1"),
    ]


def locality_points() -> list[Point]:
    """Variants of the locality setting at near 4."""

    def one(name: str, **change: str) -> Point:
        return locality(near=4, facts={"data": "locality", "variant": name}, budget=BUDGET, **change)  # pyright: ignore

    return [
        one("as above"),
        one("tau .003", noise="noise=0.003"),
        one("tau .01", noise="noise=0.01"),
        one("Student t, tau .003", noise="noise=0.003,noise_kind=student"),
        one("correlated, tau .003", noise="noise=0.003,noise_kind=correlated"),
        one("v of independent signs", extra=",signs=random"),
        one("W_B, W_C Gaussian", architecture=f"{GATED}false,projection=gaussian"),
        one("W_B, W_C trained", architecture=f"{GATED}true"),
        one("xi .001", extra=",init_scale=0.001"),
        one("xi .1", extra=",init_scale=0.1"),
    ]


def _margin(results: Results, p: Point) -> list[float]:
    """How far the gate tells class patterns (what it sees of them) from irrelevant ones, trial by trial."""
    pairs = zip(relevant_gate(results, p), results.last(p, "gate_input_irrelevant"), strict=True)
    return [relevant - irrelevant for relevant, irrelevant in pairs]


def _judge(results: Results) -> list[Check]:
    checks = []
    for p in [*majority_points(), *locality_points()]:
        statement = f"{p.get('data')}, {p.get('variant')}: the gate ends higher for class patterns than for irrelevant"
        relevant = relevant_gate(results, p)
        checks.append(exceeds(relevant, results.last(p, "gate_input_irrelevant"), statement))
    return checks


def _draw(results: Results, figure: Figure) -> None:
    panels = figure.subplots(1, 2)
    for axis, points in zip(panels, (majority_points(), locality_points()), strict=True):
        known = results.known(points)
        intervals = [mean_interval(_margin(results, p)) for p in known]
        rows = range(len(known))
        widths = [interval.half if interval.n > 1 else 0.0 for interval in intervals]
        axis.errorbar([i.mean for i in intervals], rows, xerr=widths, fmt="o", color="#0b6e99", capsize=2)
        axis.set_yticks(list(rows), [p.get("variant") for p in known], fontsize=7)
        axis.invert_yaxis()
        axis.axvline(0, color="#666666", linewidth=0.8)
        axis.grid(alpha=0.25)
        axis.set_title(points[0].get("data"), fontsize=9)
        axis.set_xlabel("gate input, class minus irrelevant")


COLUMNS = {
    "w_D.o_+": "gate_input_plus",
    "w_D.o_-": "gate_input_minus",
    "w_D.irrelevant": "gate_input_irrelevant",
}

EXPERIMENTS = [
    Experiment(
        id="robustness",
        title="Robustness of the two pictures",
        claim="Ours: the gate tells class patterns from irrelevant ones under other noise, signs of v, projections,"
        " initial scales and steps of w_D.",
        setting=f"majority: {MAJORITY_SETTING}, gap .2, N=400; locality: {LOCALITY_SETTING}, near 4;"
        " 800 epochs at most",
        points=lambda _: [*majority_points(), *locality_points()],
        judge=_judge,
        table=lambda results: columns(results, [*majority_points(), *locality_points()], trajectories=COLUMNS),
        draw=_draw,
    ),
]
