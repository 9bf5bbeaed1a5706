"""Locality: the search for a step of w_D."""

from __future__ import annotations

from scipy.stats import binomtest

from ..text import span
from .drawing import plot_trajectories
from .experiment import Check, Experiment, Results, Verdict
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

MOST = 0.9
"""Share of trials that a rule must bring to convergence to be called one that converges."""

(USED,) = (p for p in POINTS if p.get("steps of").endswith("(used)"))


def _converges(results: Results, level: float = 0.95) -> Check:
    """Clopper-Pearson's interval of the share that converges, against nine in ten."""
    median = results.steps(USED)
    found, why = Verdict.NOT_DECIDED, "too few trials"
    numbers = f"{median.reached} of {median.n}"
    if median.n:
        share = binomtest(median.reached, median.n).proportion_ci(level)
        numbers += f", share {span(median.reached / median.n, share.low, share.high, '.2f')}"
        if share.low > MOST or share.high < MOST:
            found, why = (Verdict.SHOWN if share.low > MOST else Verdict.CONTRADICTED), ""
    statement = "the rule that the other locality figures use converges in nine of ten trials or more"
    return Check(statement=statement, verdict=found, numbers=numbers, matters="above .9", why=why)


EXPERIMENTS = [
    Experiment(
        id="regime",
        ours=True,
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
