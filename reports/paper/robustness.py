"""Robustness: the two pictures under other noise, signs, projections and initializations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics import mean_interval

from ..figures import GREY, PALETTE, label_outside, panels, whisker
from .evidence import exceeds
from .experiment import Experiment, Point, Results
from .locality import GATE_COLUMNS, irrelevant_gate, locality, relevant_gate
from .locality import SETTING as LOCALITY_SETTING
from .majority import SETTING as MAJORITY_SETTING
from .majority import majority

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATED = "gated-ssm:train_projections="
BUDGET = 500


def _variants(data: str, make: Callable[..., Point], protocol: str, noises: tuple[str, str, str]) -> list[Point]:
    """The setting itself, then with one thing changed at a time.

    Args:
        protocol: what `make` calls an addition to the protocol. noises: two levels of tau, and that of the other kinds.
    """
    low, high, other = noises
    changes = {
        "as above": {},
        f"tau {low}": {"noise": f"noise=0{low}"},
        f"tau {high}": {"noise": f"noise=0{high}"},
        f"Student t, tau {other}": {"noise": f"noise=0{other},noise_kind=student"},
        f"correlated, tau {other}": {"noise": f"noise=0{other},noise_kind=correlated"},
        "v of independent signs": {protocol: ",signs=random"},
        "W_B, W_C Gaussian": {"architecture": f"{GATED}false,projection=gaussian"},
        "W_B, W_C trained": {"architecture": f"{GATED}true"},
        "xi .001": {protocol: ",init_scale=0.001"},
        "xi .1": {protocol: ",init_scale=0.1"},
    }
    return [make(facts={"data": data, "variant": name}, budget=BUDGET, **change) for name, change in changes.items()]


MAJORITY_POINTS = _variants("majority", majority, "protocol", (".1", ".3", ".1"))
"""At gap .2, N=400."""

LOCALITY_POINTS = _variants("locality", partial(locality, near=4), "extra", (".003", ".01", ".003"))
"""At near 4."""


def _draw(results: Results, points: Sequence[Point]) -> Figure | None:
    """How far what the gate sees of class patterns lies above what it sees of irrelevant ones."""
    groups = {p.get("data"): [q for q in results.known(points) if q.get("data") == p.get("data")] for p in points}
    figure, found = panels({data: data for data in groups}, width=5.0, height=2.8)
    for data, axis in found.items():
        for y, p in enumerate(groups[data]):
            margin = np.subtract(relevant_gate(p)(results), irrelevant_gate(p)(results)).tolist()
            interval = mean_interval(margin)
            axis.errorbar([interval.mean], [y], xerr=whisker(interval), fmt="o", color=PALETTE[0], capsize=2)
        axis.set_yticks(range(len(groups[data])), [p.get("variant") for p in groups[data]], fontsize=7.5)
        axis.invert_yaxis()
        axis.axvline(0, color=GREY, linewidth=0.8)
    label_outside(found, x="gate input, class minus irrelevant")
    return figure


EXPERIMENTS = [
    Experiment(
        id="robustness",
        ours=True,
        title="Robustness of the two pictures",
        claim="Ours: the gate tells class patterns from irrelevant ones under other noise, signs of v, projections,"
        " initial scales and steps of w_D.",
        setting=f"majority: {MAJORITY_SETTING}, gap .2, N=400; locality: {LOCALITY_SETTING}, near 4;"
        " 800 epochs at most",
        points=[*MAJORITY_POINTS, *LOCALITY_POINTS],
        checks=[
            exceeds(
                relevant_gate(p),
                irrelevant_gate(p),
                f"{p.get('data')}, {p.get('variant')}: the gate ends higher for class patterns than for irrelevant",
                by=0.1,
            )
            for p in [*MAJORITY_POINTS, *LOCALITY_POINTS]
        ],
        trajectories=GATE_COLUMNS,
        draw=_draw,
    ),
]
