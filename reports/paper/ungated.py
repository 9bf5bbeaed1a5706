"""Without the gate: figure 11 on majority data, figure 12 on locality data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from .drawing import plot_steps
from .evidence import column, exceeds
from .experiment import FROZEN_GATED, FROZEN_UNGATED, Experiment, Judge, Point, Results
from .locality import BUDGET as LOCALITY_BUDGET
from .locality import SETTING as LOCALITY_SETTING
from .locality import locality
from .majority import BUDGET as MAJORITY_BUDGET
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAPS = (4, 8, 12)
GATES = {"trained": FROZEN_GATED, "fixed at 1/2": FROZEN_UNGATED}

HARD = {2: 0.3, 4: 0.5, 8: 1.0}
"""Gap (of 30) -> the noise, of .3, .5, .7 and 1, at which the ungated model alone is nearest to accuracy .75.

Mean of two tuning seeds, after 1,000 epochs: gap 2 .79 .63 .54 .49; gap 4 .94 .80 .67 .58; gap 8 1.00 .96 .88 .78. The
gated model was not looked at.
"""

MAJORITY_POINTS = [
    majority(
        gap=gap,
        architecture=architecture,
        noise=f"noise={noise}",
        budget=MAJORITY_BUDGET if noise < 0.1 else 1000,
        facts={"gap": round(gap / 30, 3), "tau": noise, "gate": gate},
    )
    for noise, gaps in ((0.01, GAPS), (0.3, GAPS[::2]), *((noise, (gap,)) for gap, noise in HARD.items()))
    for gap in gaps
    for gate, architecture in GATES.items()
]
"""Figure 1's cells at N=400, each with and without its gate; at thirty times the noise; and where it is hard."""

LOCALITY_POINTS = [
    locality(
        near=near,
        architecture=architecture,
        noise=f"noise={noise}",
        budget=LOCALITY_BUDGET if noise < 0.01 else 1500,
        facts={"near": near, "tau": noise, "gate": gate},
    )
    for noise in (0.001, 0.01)
    for near in (3, 5)
    for gate, architecture in GATES.items()
]
"""Gated and ungated, at the noise of the other figures and at ten times that."""


def without_the_gate(points: Sequence[Point], name: str) -> list[Judge]:
    """Test accuracy of each gated point over that of the ungated one that follows it."""
    return [
        exceeds(
            column(gated),
            column(ungated),
            f"{name} {gated.get(name)}, tau {gated.get('tau')}: without the gate test accuracy is lower",
            by=0.01,
            accuracy=True,
        )
        for gated, ungated in zip(points[::2], points[1::2], strict=True)
    ]


def _draw(results: Results, points: Sequence[Point], *, x: str) -> Figure | None:
    """Epochs with and without the gate over `x`, a line for each level of noise."""
    merged = [
        Point(((x, p.get(x)), ("gate", f"{p.get('gate')}, tau {p.get('tau')}")), p.task, p.architecture, p.protocol)
        for p in points
    ]
    return plot_steps(results, merged, x=x, line="gate")


EXPERIMENTS = [
    Experiment(
        id=id,
        title=f"{data}: without the gate",
        claim=f"Without the gate (Delta fixed) test accuracy drops on {data.lower()} data.",
        setting=setting,
        points=points,
        checks=without_the_gate(points, x),
        draw=partial(_draw, x=x),
    )
    for id, data, setting, points, x in (
        (
            "fig11",
            "Majority",
            MAJORITY_SETTING
            + "; N=400, tau also .3, every gate held at 1/2. Where it is hard tau is, of .3, .5, .7 and 1, the"
            " one at which the ungated model alone is nearest to accuracy .75 on tuning seeds",
            MAJORITY_POINTS,
            "gap",
        ),
        ("fig12", "Locality", LOCALITY_SETTING + "; tau also .01; every gate held at 1/2", LOCALITY_POINTS, "near"),
    )
]
