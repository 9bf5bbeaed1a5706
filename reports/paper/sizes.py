"""Dimensions, confusing tokens, distances and samples: figures 13 to 15 on majority, 16 to 18 on locality data."""

from __future__ import annotations

from functools import partial

from .drawing import plot_steps
from .evidence import column, exceeds, trend
from .experiment import FROZEN_GATED, Experiment, Judge, Point, point
from .locality import GATE_COLUMNS, locality
from .locality import SETTING as LOCALITY_SETTING
from .majority import BUDGET as MAJORITY_BUDGET
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

DIMS = (32, 64, 128)
CONFUSING = (2, 4, 6, 8)
FEW = (10, 20, 40, 80, 160)
SAMPLES = (125, 250, 500, 1000)

DIM_POINTS = [
    majority(dim=dim, gap=gap, facts={"d": dim, "gap": round(gap / 30, 3)})
    for gap, dims in ((4, DIMS[:2]), (8, DIMS))
    for dim in dims
]

CONFUSING_POINTS = [
    point(
        f"majority:length=30,relevant={10 / 30:.6f},confusing={count / 30:.6f},dim=32,noise=0.01",
        FROZEN_GATED,
        f"paper:samples=400,steps={MAJORITY_BUDGET},learning_rate=1,test_samples=1000",
        alpha_c=round(count / 30, 3),
    )
    for count in CONFUSING
]
"""alpha_c alone: 10 tokens carry the label's pattern, so many the other one."""

FEW_POINTS = [
    majority(dim=dim, samples=n, gap=4, budget=1000, facts={"d": dim, "N": n}) for dim in (32, 64) for n in FEW
]

LOCALITY_DIM_POINTS = [locality(dim=dim, facts={"d": dim}) for dim in DIMS]

FAR_POINTS = [
    point(p.task.replace("far=9", f"far={far}"), p.architecture, p.protocol, far=far)
    for far in (4, 6, 9)
    for p in [locality(facts={})]
]
"""The far pair closer: less of a difference between near and far."""

CLOSENESS = [Point((("closeness", -p.get("far")),), p.task, p.architecture, p.protocol) for p in FAR_POINTS]

SAMPLE_POINTS = [locality(samples=n, population=False, budget=1000, facts={"N": n}) for n in SAMPLES]
"""A fixed training set of so many sequences."""

FEWEST, *_, MOST = SAMPLE_POINTS


def _few_checks() -> list[Judge]:
    few = {(p.get("d"), p.get("N")): column(p, "test_loss") for p in FEW_POINTS}
    return [
        *(
            exceeds(
                few[d, FEW[0]],
                few[d, FEW[-1]],
                f"d={d}: test loss at N={FEW[0]} is higher than at N={FEW[-1]}",
                by=0.02,
            )
            for d in (32, 64)
        ),
        *(
            exceeds(few[64, n], few[32, n], f"N={n}: 64 dimensions leave a higher test loss than 32", by=0.02)
            for n in FEW[:3]
        ),
    ]


EXPERIMENTS = [
    Experiment(
        id="fig13",
        known=False,
        title="Majority: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=MAJORITY_SETTING
        + "; N=400. Which of figures 13 to 18 shows what is not known to us; the split is ours",
        points=DIM_POINTS,
        checks=[
            trend(points, "d", f"gap {gap}: more dimensions take more epochs (N=400)")
            for gap in (0.133, 0.267)
            for points in [[p for p in DIM_POINTS if p.get("gap") == gap]]
        ],
        draw=partial(plot_steps, x="d", line="gap"),
    ),
    Experiment(
        id="fig14",
        known=False,
        title="Majority: epochs against the confusing tokens",
        claim="More confusing tokens, so less gap, need more steps.",
        setting=MAJORITY_SETTING + "; N=400, 10 tokens of the label's pattern",
        points=CONFUSING_POINTS,
        checks=[trend(CONFUSING_POINTS, "alpha_c", "more confusing tokens take more epochs (N=400)")],
        draw=partial(plot_steps, x="alpha_c"),
    ),
    Experiment(
        id="fig15",
        known=False,
        title="Majority: test loss against samples and dimension",
        claim="More dimensions need more samples.",
        setting=MAJORITY_SETTING + "; gap .133, 1,000 epochs at most",
        points=FEW_POINTS,
        checks=_few_checks(),
        trajectories={"test loss": "test_loss"},
        draw=partial(plot_steps, x="N", line="d", column="test_loss"),
    ),
    Experiment(
        id="fig16",
        known=False,
        title="Locality: epochs against the dimension",
        claim="More dimensions need more steps.",
        setting=LOCALITY_SETTING + "; near 3",
        points=LOCALITY_DIM_POINTS,
        checks=[trend(LOCALITY_DIM_POINTS, "d", "more dimensions take more epochs")],
        draw=partial(plot_steps, x="d"),
    ),
    Experiment(
        id="fig17",
        known=False,
        title="Locality: epochs against the distance of the far pair",
        claim="Less of a gap between near and far needs more steps.",
        setting=LOCALITY_SETTING.replace("far=9, ", "") + "; near 3",
        points=FAR_POINTS,
        checks=[trend(CLOSENESS, "closeness", "a far pair that stands closer takes more epochs (near 3)")],
        draw=partial(plot_steps, x="far"),
    ),
    Experiment(
        id="fig18",
        known=False,
        title="Locality: test accuracy against samples",
        claim="Too few samples do not generalize.",
        setting=LOCALITY_SETTING.replace("100 fresh sequences a step", "N fixed sequences")
        + "; near 3, 1,000 epochs at most",
        points=SAMPLE_POINTS,
        checks=[
            exceeds(
                column(MOST), column(FEWEST), f"test accuracy at N={SAMPLES[-1]} exceeds that at N={SAMPLES[0]}",
                by=0.01, accuracy=True,
            ),
            exceeds(
                column(FEWEST, "test_loss"), column(MOST, "test_loss"),
                f"test loss at N={SAMPLES[0]} exceeds that at N={SAMPLES[-1]}",
                by=0.02,
            ),
        ],
        trajectories={"train loss": "train_loss", **GATE_COLUMNS},
        draw=partial(plot_steps, x="N", column="test_accuracy"),
    ),
]  # fmt: skip
