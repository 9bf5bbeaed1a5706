"""Locality: the search for a step of w_D."""

from __future__ import annotations

from .drawing import plot_trajectories
from .experiment import Check, Experiment, Results
from .locality import BOUNDED, GATE_COLUMNS, SETTING, locality

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


POINTS = [
    locality(rate=rate, step=step, facts={"steps of": f"{name} (used)"})
    if step == BOUNDED
    else locality(rate=rate, step=step, budget=600, facts={"steps of": name})
    for name, (rate, step) in RULES.items()
]
"""Every rule at near 3."""

(USED,) = (p for p in POINTS if p.get("steps of").endswith("(used)"))


def _converges(results: Results) -> Check:
    median = results.steps(USED)
    return Check(
        statement="the rule that the other locality figures use converges in every trial",
        holds=median.reached == median.n if median.n > 1 else None,
        numbers=f"{median.reached} of {median.n}",
    )


EXPERIMENTS = [
    Experiment(
        id="regime",
        title="Locality: the search for a step of w_D",
        claim="Ours: equal constant steps, as in the paper, are too slow where they are small and make the gates swing"
        " where they are large; a bounded step of w_D, shortened with the loss, converges.",
        setting=SETTING.partition(", eta=1000")[0] + "; near 3",
        points=POINTS,
        checks=[_converges],
        trajectories={"test loss": "test_loss", **GATE_COLUMNS},
        draw=lambda results, points: plot_trajectories(
            results, [p for p in points if "1000" in p.get("steps of")], names=("test_loss", *GATE_COLUMNS.values()),
            log=True,
        ),
    ),
]  # fmt: skip
