"""Locality: figures 3 and 4, and the sign of the irrelevant gate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.analysis.statistics import mean_interval

from ..figures import GREY, PALETTE, legend_below, new_figure
from .drawing import plot_means, plot_steps, plot_trajectories
from .evidence import Values, below, exceeds, last, lies, mean, trend
from .experiment import FROZEN_GATED, Experiment, Point, Results, point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET = 3000
NEARS = (1, 2, 3, 4, 5, 6)
BOUNDED = "mixer_step=0.02,schedule=loss"
"""The rule for w_D: along its gradient, at most .02 long, times the training loss. See docs/paper.md for the search."""


def locality(
    *, facts: dict[str, Any], near: int = 3, length: int = 12, dim: int = 32, rate: float = 1000.0, samples: int = 100,
    population: bool = True, architecture: str = FROZEN_GATED, noise: str = "noise=0.001", step: str = BOUNDED,
    extra: str = "", budget: int = BUDGET,
) -> Point:  # fmt: skip
    """A locality point: near pairs `near` apart, far pairs 9 apart, placed as in the paper."""
    task = f"locality:length={length},near={near},far=9,placement=paper,dim={dim},{noise}"
    settings = f"population={str(population).lower()},samples={samples},steps={budget},learning_rate={rate}"
    return point(task, architecture, f"paper:{settings},{step},test_samples=1000{extra}", **facts)


SETTING = (
    "L=12, far=9, placement=paper, d=32, tau=.001, xi=.01, W_B=W_C=I, balanced v, 100 fresh sequences a step, eta=1000"
    " for W_O, w_D along its gradient by at most .02 times the loss; all ours but d, m=50 and the descent. Placed as in"
    " the paper, pairs also tell their label by position alone (at near 3 always: position-marginal ceiling 1.00);"
    " a recurrence without positions cannot use that, and figure 6 has the placement that denies it"
)


GATE_SETTING = SETTING.replace("eta=1000", "eta=100") + "; the gates after 1,000 epochs, or at convergence"


NEAR_POINTS = [locality(near=near, facts={"near": near}) for near in NEARS]
"""Every distance of the near pair, one regime."""

GATE_POINTS = [locality(near=near, rate=100.0, budget=1000, facts={"near": near}) for near in NEARS]
"""Every distance, with a tenth of W_O's step: it and w_D then move on one time scale, as under one eta."""

GATE_COLUMNS = {
    "w_D.o_+": "gate_input_plus",
    "w_D.o_-": "gate_input_minus",
    "w_D.irrelevant": "gate_input_irrelevant",
}


def relevant_gate(p: Point) -> Values:
    """Mean of what the gate sees of o_+ and of o_-, trial by trial."""
    return mean(last(p, "gate_input_plus"), last(p, "gate_input_minus"))


def irrelevant_gate(p: Point) -> Values:
    """What the gate sees of irrelevant patterns, trial by trial."""
    return last(p, "gate_input_irrelevant")


def _draw_sign(results: Results, points: Sequence[Point]) -> Figure | None:
    known = results.known(points)
    if not known:
        return None
    figure = new_figure(6.4, 3.8)
    axis = figure.subplots()
    gates = {"irrelevant patterns": irrelevant_gate, "o_+ and o_-": relevant_gate}
    for (label, values), colour in zip(gates.items(), PALETTE, strict=False):
        intervals = [mean_interval(values(p)(results)) for p in known]
        plot_means(axis, [p.get("near") for p in known], intervals, colour, label)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_xlabel("near")
    axis.set_ylabel("w_D . pattern at the end")
    axis.grid(alpha=0.25)
    legend_below(figure)
    return figure


EXPERIMENTS = [
    Experiment(
        id="fig3",
        title="Locality: epochs to converge against the distance of the near pair",
        claim="A larger distance between the relevant tokens slows convergence.",
        setting=SETTING,
        points=NEAR_POINTS,
        checks=[
            trend(NEAR_POINTS, "near", "a larger near distance takes more epochs to loss < .001"),
            trend(
                NEAR_POINTS, "near", "a larger near distance takes more epochs to accuracy .99",
                name="steps_to_threshold",
            ),
        ],
        draw=partial(plot_steps, x="near"),
    ),
    Experiment(
        id="fig4",
        title="Locality: the gate learns to ignore irrelevant tokens",
        claim="The gate learns to ignore irrelevant tokens: it turns clearly negative for them and stays near zero for"
        " relevant ones (Lemma 4.2).",
        setting=GATE_SETTING,
        points=GATE_POINTS[1:],
        checks=[
            check
            for p in GATE_POINTS[1:]
            for near in [f"near {p.get('near')}: "]
            for check in (
                below(irrelevant_gate(p), 0.25, near + "the irrelevant gate ends below -.25", blind=True),
                exceeds(
                    relevant_gate(p), irrelevant_gate(p), near + "the relevant gates end above the irrelevant one",
                    by=0.25,
                ),
                lies(
                    relevant_gate(p), near + "the relevant gates end within .5 of 0", above=-0.5, below=0.5, blind=True,
                ),
            )
        ],
        trajectories=GATE_COLUMNS,
        draw=partial(plot_trajectories, names=tuple(GATE_COLUMNS.values()), log=True),
    ),
    Experiment(
        id="sign",
        ours=True,
        title="Locality: the sign of the irrelevant gate against the distance of the near pair",
        claim="Ours, not the paper's: Lemma 4.2's negative gate needs an irrelevant token between the near pair, near"
        " >= 2. At near 1 forgetting mutes only the far pair.",
        setting=GATE_SETTING,
        points=GATE_POINTS,
        checks=[
            lies(
                irrelevant_gate(GATE_POINTS[0]), "near 1: the irrelevant gate does not turn negative", above=-0.02,
                blind=True,
            ),
            *(
                below(irrelevant_gate(p), 0.1, f"near {p.get('near')}: the irrelevant gate turns negative")
                for p in GATE_POINTS[1:]
            ),
        ],
        trajectories=GATE_COLUMNS,
        draw=_draw_sign,
    ),
]  # fmt: skip
