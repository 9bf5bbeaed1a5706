"""Locality: figures 3, 4, 12 and 16 to 18, and the sign of the irrelevant gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .drawing import plot_steps, plot_trajectories
from .evidence import exceeds, lies, rises_with
from .experiment import FROZEN_GATED, FROZEN_UNGATED, Check, Experiment, Point, Results, columns, point
from .majority import draw_ungated, without_the_gate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET = 3000
NEARS = (1, 2, 3, 4, 5, 6)
BOUNDED = "mixer_step=0.02,schedule=loss"
"""The rule for w_D: along its gradient, at most .02 long, times the training loss. See docs/paper.md for the search."""


def locality(
    *,
    facts: dict[str, Any],
    near: int = 3,
    length: int = 12,
    dim: int = 32,
    rate: float = 1000.0,
    samples: int = 100,
    population: bool = True,
    architecture: str = FROZEN_GATED,
    noise: str = "noise=0.001",
    step: str = BOUNDED,
    extra: str = "",
    budget: int = BUDGET,
) -> Point:
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


def near_points() -> list[Point]:
    """Every distance of the near pair, one regime."""
    return [locality(near=near, facts={"near": near}) for near in NEARS]


def _judge_near(results: Results) -> list[Check]:
    points = near_points()
    return [
        rises_with(results, points, "near", "a larger near distance takes more epochs to loss < .001"),
        rises_with(
            results,
            points,
            "near",
            "a larger near distance takes more epochs to accuracy .99",
            name="steps_to_threshold",
        ),
    ]


GATE_COLUMNS = {
    "w_D.o_+": "gate_input_plus",
    "w_D.o_-": "gate_input_minus",
    "w_D.irrelevant": "gate_input_irrelevant",
}


def gate_points() -> list[Point]:
    """Every distance, with a tenth of W_O's step: it and w_D then move on one time scale, as under one eta."""
    return [locality(near=near, rate=100.0, budget=1000, facts={"near": near}) for near in NEARS]


def relevant_gate(results: Results, p: Point) -> list[float]:
    """Mean of what the gate sees of o_+ and of o_-, trial by trial."""
    pairs = zip(results.last(p, "gate_input_plus"), results.last(p, "gate_input_minus"), strict=True)
    return [(plus + minus) / 2 for plus, minus in pairs]


def _judge_gate(results: Results) -> list[Check]:
    checks = []
    for p in gate_points()[1:]:
        irrelevant, relevant = results.last(p, "gate_input_irrelevant"), relevant_gate(results, p)
        near = f"near {p.get('near')}: "
        checks += [
            lies(irrelevant, near + "the irrelevant gate ends below -.25", below=-0.25),
            exceeds(relevant, irrelevant, near + "the relevant gates end above the irrelevant one"),
            lies(relevant, near + "the relevant gates end within .5 of 0", above=-0.5, below=0.5),
        ]
    return checks


def _judge_sign(results: Results) -> list[Check]:
    first, *others = gate_points()
    last = "gate_input_irrelevant"
    return [
        lies(results.last(first, last), "near 1: the irrelevant gate does not turn negative", above=-0.02),
        *(
            lies(results.last(p, last), f"near {p.get('near')}: the irrelevant gate turns negative", below=0.0)
            for p in others
        ),
    ]


def _draw_sign(results: Results, figure: Figure) -> None:
    from harness.statistics import mean_interval

    from .drawing import COLOURS

    axis = figure.subplots()
    known = results.known(gate_points())
    for index, (label, values_of) in enumerate(
        (
            ("irrelevant patterns", lambda p: results.last(p, "gate_input_irrelevant")),
            ("o_+ and o_-", lambda p: relevant_gate(results, p)),
        )
    ):
        intervals = [mean_interval(values_of(p)) for p in known]
        axis.errorbar(
            [p.get("near") for p in known],
            [interval.mean for interval in intervals],
            yerr=[interval.half if interval.n > 1 else 0 for interval in intervals],
            color=COLOURS[index],
            marker="o",
            capsize=2,
            label=label,
        )
    axis.axhline(0, color="#666666", linewidth=0.8)
    axis.set_xlabel("near")
    axis.set_ylabel("w_D . pattern at the end")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, frameon=False)


# Figure 12: without the gate, at two levels of noise.


def ungated_points() -> list[Point]:
    """Gated and ungated, at the noise of the other figures and at ten times that."""
    return [
        locality(
            near=near,
            architecture=architecture,
            noise=f"noise={noise}",
            budget=BUDGET if noise < 0.01 else 1500,
            facts={"near": near, "tau": noise, "gate": gate},
        )
        for noise, nears in ((0.001, (2, 3, 4, 5)), (0.01, (3, 5)))
        for near in nears
        for gate, architecture in (("trained", FROZEN_GATED), ("fixed at 1/2", FROZEN_UNGATED))
    ]


def _judge_ungated(results: Results) -> list[Check]:
    return without_the_gate(results, ungated_points(), ("near", "tau"))


# The search for a regime.

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


# Figures 16 to 18.

DIMS = (32, 64, 128)
SAMPLES = (125, 250, 500, 1000)


def dim_points() -> list[Point]:
    """Dimensions at one distance."""
    return [locality(dim=dim, facts={"d": dim}) for dim in DIMS]


def _far_points() -> list[Point]:
    """The far pair closer: less of a difference between near and far."""
    return [
        point(p.task.replace("far=9", f"far={far}"), p.architecture, p.protocol, far=far)
        for far in (4, 6, 9)
        for p in [locality(facts={})]
    ]


def _judge_far(results: Results) -> list[Check]:
    points = [Point((("closeness", -p.get("far")),), p.task, p.architecture, p.protocol) for p in _far_points()]
    return [rises_with(results, points, "closeness", "a far pair that stands closer takes more epochs (near 3)")]


def sample_points() -> list[Point]:
    """A fixed training set of so many sequences."""
    return [locality(samples=n, population=False, budget=1500, facts={"N": n}) for n in SAMPLES]


def _judge_samples(results: Results) -> list[Check]:
    points = sample_points()
    accuracies = [results.values(p, "test_accuracy") for p in points]
    losses = [results.values(p, "test_loss") for p in points]
    return [
        exceeds(accuracies[-1], accuracies[0], f"test accuracy at N={SAMPLES[-1]} exceeds that at N={SAMPLES[0]}"),
        exceeds(losses[0], losses[-1], f"test loss at N={SAMPLES[0]} exceeds that at N={SAMPLES[-1]}"),
    ]


EXPERIMENTS = [
    Experiment(
        id="fig3",
        title="Locality: epochs to converge against the distance of the near pair",
        claim="A larger distance between the relevant tokens slows convergence.",
        setting=SETTING,
        points=lambda _: near_points(),
        judge=_judge_near,
        table=lambda results: columns(results, near_points()),
        draw=lambda results, figure: plot_steps(results, figure, near_points(), x="near", log=True),
    ),
    Experiment(
        id="fig4",
        title="Locality: the gate forgets what is irrelevant less, and by itself",
        claim="Relevant directions of w_D stay near zero, irrelevant ones are driven clearly negative (Lemma 4.2).",
        setting=GATE_SETTING,
        points=lambda _: gate_points()[1:],
        judge=_judge_gate,
        table=lambda results: columns(results, gate_points()[1:], trajectories=GATE_COLUMNS),
        draw=lambda results, figure: plot_trajectories(
            results, figure, gate_points()[1:], tuple(GATE_COLUMNS.values()), log=True
        ),
    ),
    Experiment(
        id="sign",
        title="Locality: the sign of the irrelevant gate against the distance of the near pair",
        claim="Ours, not the paper's: Lemma 4.2's negative gate needs an irrelevant token between the near pair, near"
        " >= 2. At near 1 forgetting mutes only the far pair.",
        setting=GATE_SETTING,
        points=lambda _: gate_points(),
        judge=_judge_sign,
        table=lambda results: columns(results, gate_points(), trajectories=GATE_COLUMNS),
        draw=_draw_sign,
    ),
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
    Experiment(
        id="fig12",
        title="Locality: without the gate",
        claim="Without gating (Delta fixed) test accuracy drops.",
        setting=SETTING + "; tau also .01; every gate held at 1/2",
        points=lambda _: ungated_points(),
        judge=_judge_ungated,
        table=lambda results: columns(results, ungated_points()),
        draw=lambda results, figure: draw_ungated(results, figure, ungated_points(), "near"),
    ),
    Experiment(
        id="fig16",
        title="Locality: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=SETTING + "; near 3",
        points=lambda _: dim_points(),
        judge=lambda results: [rises_with(results, dim_points(), "d", "more dimensions take more epochs")],
        table=lambda results: columns(results, dim_points()),
        draw=lambda results, figure: plot_steps(results, figure, dim_points(), x="d", log=True),
    ),
    Experiment(
        id="fig17",
        title="Locality: epochs against the distance of the far pair",
        claim="Less of a gap between near and far needs more steps.",
        setting=SETTING.replace("far=9, ", "") + "; near 3",
        points=lambda _: _far_points(),
        judge=_judge_far,
        table=lambda results: columns(results, _far_points()),
        draw=lambda results, figure: plot_steps(results, figure, _far_points(), x="far", log=True),
    ),
    Experiment(
        id="fig18",
        title="Locality: test accuracy against samples",
        claim="Too few samples do not generalize.",
        setting=SETTING.replace("100 fresh sequences a step", "N fixed sequences") + "; near 3, 1,500 epochs at most",
        points=lambda _: sample_points(),
        judge=_judge_samples,
        table=lambda results: columns(
            results, sample_points(), trajectories={"train loss": "train_loss", **GATE_COLUMNS}
        ),
        draw=lambda results, figure: plot_steps(
            results, figure, sample_points(), x="N", column="test_accuracy", log=True
        ),
    ),
]
