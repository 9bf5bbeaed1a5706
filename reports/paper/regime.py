"""Locality: the search for a step of w_D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .drawing import plot_trajectories
from .experiment import Check, Experiment, Point, Results, columns
from .locality import BOUNDED, GATE_COLUMNS, SETTING, locality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = {
    "both eta 1": (1.0, "mixer_rate=1"),
    "both eta 30": (30.0, "mixer_rate=1"),
    "both eta 1000": (1000.0, "mixer_rate=1"),
    "eta 1000, w_D 1": (1000.0, "mixer_rate=0.001"),
    "eta 1000, w_D .1": (1000.0, "mixer_rate=0.0001"),
    "eta 1000, w_D 1 times loss": (1000.0, "mixer_rate=0.001,schedule=loss"),
    "eta 1000, w_D at most .02": (1000.0, "mixer_step=0.02"),
    "eta 1000, w_D at most .02 times loss": (1000.0, BOUNDED),
    "eta 1000, w_D at most .1 times loss": (1000.0, "mixer_step=0.1,schedule=loss"),
}
"""What was tried for the steps: eta of W_O, and the rule of w_D."""


def regime_points() -> list[Point]:
    """Every rule at near 3."""
    return [
        locality(rate=rate, step=step, facts={"steps of": f"{name} (used)"})
        if step == BOUNDED
        else locality(rate=rate, step=step, budget=600, facts={"steps of": name})
        for name, (rate, step) in RULES.items()
    ]


def _judge_regime(results: Results) -> list[Check]:
    checks = []
    for p in regime_points():
        if p.get("steps of").endswith("(used)"):
            median, statement = (
                results.steps(p),
                "the rule that the other locality figures use converges in every trial",
            )
            told = median.n > 1
            numbers = f"{median.reached} of {median.n}"
            checks.append(
                Check(statement=statement, holds=median.reached == median.n if told else None, numbers=numbers)
            )
    return checks


def _draw_regime(results: Results, figure: Figure) -> None:
    points = [p for p in regime_points() if "1000" in p.get("steps of")]
    plot_trajectories(results, figure, points, ("test_loss", *GATE_COLUMNS.values()), log=True)


EXPERIMENTS = [
    Experiment(
        id="regime",
        title="Locality: the search for a step of w_D",
        claim="Ours: equal constant steps, as in the paper, are too slow where they are small and make the gates swing"
        " where they are large; a bounded step of w_D, shortened with the loss, converges.",
        setting=SETTING.partition(", eta=1000")[0] + "; near 3",
        points=lambda _: regime_points(),
        judge=_judge_regime,
        table=lambda results: columns(
            results, regime_points(), trajectories={"test loss": "test_loss", **GATE_COLUMNS}
        ),
        draw=_draw_regime,
    ),
]
