"""Dimensions, confusing tokens, distances and samples: figures 13 to 15 on majority, 16 to 18 on locality data."""

from __future__ import annotations

from .drawing import plot_steps
from .evidence import exceeds, rises_with
from .experiment import FROZEN_GATED, Check, Experiment, Point, Results, columns, point
from .locality import GATE_COLUMNS, locality
from .locality import SETTING as LOCALITY_SETTING
from .majority import BUDGET as MAJORITY_BUDGET
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

DIMS = (32, 64, 128)


def _majority_dim_points() -> list[Point]:
    return [
        majority(dim=dim, gap=gap, facts={"d": dim, "gap": round(gap / 30, 3)})
        for gap, dims in ((4, DIMS[:2]), (8, DIMS))
        for dim in dims
    ]


def _judge_majority_dim(results: Results) -> list[Check]:
    return [
        rises_with(
            results,
            [p for p in _majority_dim_points() if p.get("gap") == gap],
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
        protocol = f"paper:samples=400,steps={MAJORITY_BUDGET},learning_rate=1,test_samples=1000"
        points.append(point(task, FROZEN_GATED, protocol, alpha_c=round(count / 30, 3)))
    return points


def _judge_confusing(results: Results) -> list[Check]:
    return [rises_with(results, _confusing_points(), "alpha_c", "more confusing tokens take more epochs (N=400)")]


FEW = (10, 20, 40, 80, 160)


def _few_points() -> list[Point]:
    return [majority(dim=dim, samples=n, gap=4, budget=1000, facts={"d": dim, "N": n}) for dim in (32, 64) for n in FEW]


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


SAMPLES = (125, 250, 500, 1000)


def locality_dim_points() -> list[Point]:
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
    return [locality(samples=n, population=False, budget=1000, facts={"N": n}) for n in SAMPLES]


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
        id="fig13",
        title="Majority: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=MAJORITY_SETTING
        + "; N=400. Which of figures 13 to 18 shows what is not known to us; the split is ours",
        points=lambda _: _majority_dim_points(),
        judge=_judge_majority_dim,
        table=lambda results: columns(results, _majority_dim_points()),
        draw=lambda results, figure: plot_steps(results, figure, _majority_dim_points(), x="d", line="gap", log=True),
    ),
    Experiment(
        id="fig14",
        title="Majority: epochs against the confusing tokens",
        claim="More confusing tokens, so less gap, need more steps.",
        setting=MAJORITY_SETTING + "; N=400, 10 tokens of the label's pattern",
        points=lambda _: _confusing_points(),
        judge=_judge_confusing,
        table=lambda results: columns(results, _confusing_points()),
        draw=lambda results, figure: plot_steps(results, figure, _confusing_points(), x="alpha_c", log=True),
    ),
    Experiment(
        id="fig15",
        title="Majority: test loss against samples and dimension",
        claim="More dimensions need more samples.",
        setting=MAJORITY_SETTING + "; gap .133, 1,000 epochs at most",
        points=lambda _: _few_points(),
        judge=_judge_few,
        table=lambda results: columns(results, _few_points(), trajectories={"test loss": "test_loss"}),
        draw=lambda results, figure: plot_steps(
            results, figure, _few_points(), x="N", line="d", column="test_loss", log=True
        ),
    ),
    Experiment(
        id="fig16",
        title="Locality: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=LOCALITY_SETTING + "; near 3",
        points=lambda _: locality_dim_points(),
        judge=lambda results: [rises_with(results, locality_dim_points(), "d", "more dimensions take more epochs")],
        table=lambda results: columns(results, locality_dim_points()),
        draw=lambda results, figure: plot_steps(results, figure, locality_dim_points(), x="d", log=True),
    ),
    Experiment(
        id="fig17",
        title="Locality: epochs against the distance of the far pair",
        claim="Less of a gap between near and far needs more steps.",
        setting=LOCALITY_SETTING.replace("far=9, ", "") + "; near 3",
        points=lambda _: _far_points(),
        judge=_judge_far,
        table=lambda results: columns(results, _far_points()),
        draw=lambda results, figure: plot_steps(results, figure, _far_points(), x="far", log=True),
    ),
    Experiment(
        id="fig18",
        title="Locality: test accuracy against samples",
        claim="Too few samples do not generalize.",
        setting=LOCALITY_SETTING.replace("100 fresh sequences a step", "N fixed sequences")
        + "; near 3, 1,000 epochs at most",
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
