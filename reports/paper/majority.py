"""Majority voting: figures 1, 2, 5, 11 and 13 to 15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .drawing import plot_steps, plot_trajectories
from .evidence import exceeds, falls_with, lies, rises_with
from .experiment import FROZEN_GATED, FROZEN_UNGATED, Check, Experiment, Point, Results, columns, point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAPS = (4, 6, 8, 10, 12)
"""Tokens by which o_+ outnumber o_- (or the other way round), of 30; 18 tokens are one of the two."""

SAMPLES = (50, 100, 400)
DIMS = (32, 64, 128)
BUDGET = 2000


def majority(
    *,
    gap: int = 6,
    samples: int = 400,
    dim: int = 32,
    length: int = 30,
    rate: float = 1.0,
    architecture: str = FROZEN_GATED,
    noise: str = "noise=0.01",
    protocol: str = "",
    budget: int = BUDGET,
    facts: dict[str, Any],
) -> Point:
    """A majority point: of `length` tokens .6 carry a class pattern, `gap` (of 30) more carry the label's."""
    voters, ahead = round(0.6 * length), round(gap * length / 30)
    relevant, confusing = (voters + ahead) / 2 / length, (voters - ahead) / 2 / length
    task = f"majority:length={length},relevant={relevant:.6f},confusing={confusing:.6f},dim={dim},{noise}"
    settings = f"samples={samples},steps={budget},learning_rate={rate},test_samples=1000{protocol}"
    return point(task, architecture, f"paper:{settings}", **facts)


SETTING = (
    "L=30, 18 class tokens, d=32, tau=.01, xi=.01, W_B=W_C=I, balanced v, eta=1 for W_O and w_D, constant; all ours"
    " but d, m=50 and the descent"
)


# Figure 1: the gap and the epochs.


def _gap_points(samples: tuple[int, ...] = SAMPLES) -> list[Point]:
    """Every gap at every number of training sequences."""
    return [majority(gap=gap, samples=n, facts={"gap": round(gap / 30, 3), "N": n}) for n in samples for gap in GAPS]


def _judge_gap(results: Results) -> list[Check]:
    return [
        falls_with(
            results, [p for p in _gap_points() if p.get("N") == n], "gap", f"N={n}: a larger gap takes fewer epochs"
        )
        for n in SAMPLES
    ]


def _draw_gap(results: Results, figure: Figure) -> None:
    plot_steps(results, figure, _gap_points(), x="gap", line="N", log=True)


# Figures 2 and 5: where the gate and the hidden rows point.


def _direction_points(_: Results) -> list[Point]:
    return [p for p in _gap_points() if p.get("N") == 400 and p.get("gap") == 0.2]


def _judge_gate(results: Results) -> list[Check]:
    (p,) = _direction_points(results)
    return [
        lies(results.last(p, "gate_cosine_plus"), "cosine(w_D, o_+) ends above .3", above=0.3),
        lies(results.last(p, "gate_cosine_minus"), "cosine(w_D, o_-) ends above .3", above=0.3),
        lies(
            results.last(p, "gate_cosine_irrelevant"),
            "the mean cosine with irrelevant patterns stays within .1 of 0",
            above=-0.1,
            below=0.1,
        ),
    ]


GATE_COLUMNS = {
    "cos(w_D, o_+)": "gate_cosine_plus",
    "cos(w_D, o_-)": "gate_cosine_minus",
    "cos(w_D, irrelevant)": "gate_cosine_irrelevant",
    "w_D.irrelevant": "gate_input_irrelevant",
}


def _judge_hidden(results: Results) -> list[Check]:
    (p,) = _direction_points(results)
    positive, negative = (
        [results.last(p, f"hidden_{sign}_{role}") for role in ("plus", "minus", "irrelevant")]
        for sign in ("positive", "negative")
    )
    return [
        exceeds(positive[0], positive[1], "rows with v > 0 lie closer to o_+ than to o_-, by .1 or more", by=0.1),
        exceeds(negative[1], negative[0], "rows with v < 0 lie closer to o_- than to o_+, by .1 or more", by=0.1),
        lies(
            [*positive[2], *negative[2]],
            "their mean cosine with irrelevant patterns stays within .1 of 0",
            above=-0.1,
            below=0.1,
        ),
    ]


HIDDEN_COLUMNS = {
    f"cos(rows {sign}, {pattern})": f"hidden_{name}_{role}"
    for sign, name in (("v > 0", "positive"), ("v < 0", "negative"))
    for pattern, role in (("o_+", "plus"), ("o_-", "minus"), ("irrelevant", "irrelevant"))
}


# Figure 11: without the gate.

UNGATED_GAPS = (4, 8, 12)


def _ungated_points() -> list[Point]:
    """The same cells as figure 1's at N=400, and each without its gate; also at thirty times the noise."""
    return [
        majority(
            gap=gap,
            architecture=architecture,
            noise=f"noise={noise}",
            budget=BUDGET if noise < 0.1 else 1000,
            facts={"gap": round(gap / 30, 3), "tau": noise, "gate": gate},
        )
        for noise, gaps in ((0.01, UNGATED_GAPS), (0.3, UNGATED_GAPS[::2]))
        for gap in gaps
        for gate, architecture in (("trained", FROZEN_GATED), ("fixed at 1/2", FROZEN_UNGATED))
    ]


def _judge_ungated(results: Results) -> list[Check]:
    return without_the_gate(results, _ungated_points(), ("gap", "tau"))


def without_the_gate(results: Results, points: list[Point], names: tuple[str, ...]) -> list[Check]:
    """Test accuracy of each gated point over that of the ungated one that follows it."""
    checks = []
    for gated, ungated in zip(points[::2], points[1::2], strict=True):
        accuracies = (results.values(gated, "test_accuracy"), results.values(ungated, "test_accuracy"))
        where = ", ".join(f"{name} {gated.get(name)}" for name in names)
        checks.append(exceeds(*accuracies, f"{where}: without the gate test accuracy is lower"))
    return checks


def draw_ungated(results: Results, figure: Figure, points: list[Point], x: str) -> None:
    """Epochs with and without the gate over `x`, a line for each level of noise."""
    merged = [
        Point(((x, p.get(x)), ("gate", f"{p.get('gate')}, tau {p.get('tau')}")), p.task, p.architecture, p.protocol)
        for p in points
    ]
    plot_steps(results, figure, merged, x=x, line="gate", log=True)


# Figures 13 to 15: dimension, confusing tokens, samples.


def _dim_points() -> list[Point]:
    return [
        majority(dim=dim, gap=gap, facts={"d": dim, "gap": round(gap / 30, 3)})
        for gap, dims in ((4, DIMS[:2]), (8, DIMS))
        for dim in dims
    ]


def _judge_dim(results: Results) -> list[Check]:
    return [
        rises_with(
            results,
            [p for p in _dim_points() if p.get("gap") == gap],
            "d",
            f"gap {gap}: more dimensions take more epochs (N=400)",
        )
        for gap in (0.133, 0.267)
    ]


CONFUSING = (2, 4, 6, 8)


def _confusing_points() -> list[Point]:
    """alpha_c alone: 10 tokens carry the label's pattern, so many the other one."""
    points = []
    for count in CONFUSING:
        task = f"majority:length=30,relevant={10 / 30:.6f},confusing={count / 30:.6f},dim=32,noise=0.01"
        protocol = f"paper:samples=400,steps={BUDGET},learning_rate=1,test_samples=1000"
        points.append(point(task, FROZEN_GATED, protocol, alpha_c=round(count / 30, 3)))
    return points


def _judge_confusing(results: Results) -> list[Check]:
    return [rises_with(results, _confusing_points(), "alpha_c", "more confusing tokens take more epochs (N=400)")]


FEW = (10, 20, 40, 80, 160)


def _few_points() -> list[Point]:
    return [majority(dim=dim, samples=n, gap=4, facts={"d": dim, "N": n}) for dim in (32, 64) for n in FEW]


def _judge_few(results: Results) -> list[Check]:
    checks = []
    for dim in (32, 64):
        points = [p for p in _few_points() if p.get("d") == dim]
        statement = f"d={dim}: test loss at N={FEW[0]} is higher than at N={FEW[-1]}"
        checks.append(
            exceeds(results.values(points[0], "test_loss"), results.values(points[-1], "test_loss"), statement)
        )
    for n in FEW[:3]:
        small, large = (p for p in _few_points() if p.get("N") == n)
        losses = (results.values(large, "test_loss"), results.values(small, "test_loss"))
        checks.append(exceeds(*losses, f"N={n}: 64 dimensions leave a higher test loss than 32"))
    return checks


EXPERIMENTS = [
    Experiment(
        id="fig1",
        title="Majority: epochs to converge against the gap",
        claim="A larger gap between relevant and confusing tokens takes fewer epochs, at every N.",
        setting=SETTING,
        points=lambda _: _gap_points(),
        judge=_judge_gap,
        table=lambda results: columns(results, _gap_points()),
        draw=_draw_gap,
    ),
    Experiment(
        id="fig2",
        title="Majority: the gate turns towards the class patterns",
        claim="cosine(w_D, o_+) and cosine(w_D, o_-) rise, cosines with irrelevant patterns stay flat (Lemma 4.1).",
        setting=SETTING + "; gap .2, N=400",
        points=_direction_points,
        judge=_judge_gate,
        table=lambda results: columns(results, _direction_points(results), trajectories=GATE_COLUMNS),
        draw=lambda results, figure: plot_trajectories(
            results,
            figure,
            _direction_points(results),
            ("gate_cosine_plus", "gate_cosine_minus", "gate_cosine_irrelevant"),
        ),
    ),
    Experiment(
        id="fig5",
        title="Majority: rows of W_O align with the pattern of their sign",
        claim="Rows of W_O with v > 0 align with o_+, rows with v < 0 with o_- (lucky neurons).",
        setting=SETTING + "; gap .2, N=400; the mean is over all rows of a sign, lucky or not",
        points=_direction_points,
        judge=_judge_hidden,
        table=lambda results: columns(results, _direction_points(results), trajectories=HIDDEN_COLUMNS),
        draw=lambda results, figure: plot_trajectories(
            results, figure, _direction_points(results), tuple(HIDDEN_COLUMNS.values())
        ),
    ),
    Experiment(
        id="fig11",
        title="Majority: without the gate",
        claim="Without gating (Delta fixed) test accuracy drops.",
        setting=SETTING + "; N=400, tau also .3, every gate held at 1/2",
        points=lambda _: _ungated_points(),
        judge=_judge_ungated,
        table=lambda results: columns(results, _ungated_points()),
        draw=lambda results, figure: draw_ungated(results, figure, _ungated_points(), "gap"),
    ),
    Experiment(
        id="fig13",
        title="Majority: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=SETTING + "; N=400. Which of figures 13 to 18 shows what is not known to us; the split is ours",
        points=lambda _: _dim_points(),
        judge=_judge_dim,
        table=lambda results: columns(results, _dim_points()),
        draw=lambda results, figure: plot_steps(results, figure, _dim_points(), x="d", line="gap", log=True),
    ),
    Experiment(
        id="fig14",
        title="Majority: epochs against the confusing tokens",
        claim="More confusing tokens, so less gap, need more steps.",
        setting=SETTING + "; N=400, 10 tokens of the label's pattern",
        points=lambda _: _confusing_points(),
        judge=_judge_confusing,
        table=lambda results: columns(results, _confusing_points()),
        draw=lambda results, figure: plot_steps(results, figure, _confusing_points(), x="alpha_c", log=True),
    ),
    Experiment(
        id="fig15",
        title="Majority: test loss against samples and dimension",
        claim="More dimensions need more samples.",
        setting=SETTING + "; gap .133",
        points=lambda _: _few_points(),
        judge=_judge_few,
        table=lambda results: columns(results, _few_points(), trajectories={"test loss": "test_loss"}),
        draw=lambda results, figure: plot_steps(
            results, figure, _few_points(), x="N", line="d", column="test_loss", log=True
        ),
    ),
]
