"""Without the gate: figure 11 on majority data, figure 12 on locality data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .drawing import plot_steps
from .evidence import exceeds
from .experiment import FROZEN_GATED, FROZEN_UNGATED, Check, Experiment, Point, Results, columns
from .locality import BUDGET as LOCALITY_BUDGET
from .locality import SETTING as LOCALITY_SETTING
from .locality import locality
from .majority import BUDGET as MAJORITY_BUDGET
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAPS = (4, 8, 12)


def majority_points() -> list[Point]:
    """The same cells as figure 1's at N=400, and each without its gate; also at thirty times the noise."""
    return [
        majority(
            gap=gap,
            architecture=architecture,
            noise=f"noise={noise}",
            budget=MAJORITY_BUDGET if noise < 0.1 else 1000,
            facts={"gap": round(gap / 30, 3), "tau": noise, "gate": gate},
        )
        for noise, gaps in ((0.01, GAPS), (0.3, GAPS[::2]))
        for gap in gaps
        for gate, architecture in (("trained", FROZEN_GATED), ("fixed at 1/2", FROZEN_UNGATED))
    ]


def _judge_majority(results: Results) -> list[Check]:
    return without_the_gate(results, majority_points(), ("gap", "tau"))


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


def locality_points() -> list[Point]:
    """Gated and ungated, at the noise of the other figures and at ten times that."""
    return [
        locality(
            near=near,
            architecture=architecture,
            noise=f"noise={noise}",
            budget=LOCALITY_BUDGET if noise < 0.01 else 1500,
            facts={"near": near, "tau": noise, "gate": gate},
        )
        for noise, nears in ((0.001, (3, 5)), (0.01, (3, 5)))
        for near in nears
        for gate, architecture in (("trained", FROZEN_GATED), ("fixed at 1/2", FROZEN_UNGATED))
    ]


def _judge_locality(results: Results) -> list[Check]:
    return without_the_gate(results, locality_points(), ("near", "tau"))


EXPERIMENTS = [
    Experiment(
        id="fig11",
        title="Majority: without the gate",
        claim="Without gating (Delta fixed) test accuracy drops.",
        setting=MAJORITY_SETTING + "; N=400, tau also .3, every gate held at 1/2",
        points=lambda _: majority_points(),
        judge=_judge_majority,
        table=lambda results: columns(results, majority_points()),
        draw=lambda results, figure: draw_ungated(results, figure, majority_points(), "gap"),
    ),
    Experiment(
        id="fig12",
        title="Locality: without the gate",
        claim="Without gating (Delta fixed) test accuracy drops.",
        setting=LOCALITY_SETTING + "; tau also .01; every gate held at 1/2",
        points=lambda _: locality_points(),
        judge=_judge_locality,
        table=lambda results: columns(results, locality_points()),
        draw=lambda results, figure: draw_ungated(results, figure, locality_points(), "near"),
    ),
]
