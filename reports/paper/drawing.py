"""The two figures that most experiments want: steps over a setting, trajectories over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.statistics import mean_interval

from .experiment import Point, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7c3aed", "#334155", "#be185d", "#b45309", "#0f766e", "#a16207", "#1d4ed8")

NAMES = {
    "steps_to_convergence": "epochs to test loss < .001",
    "steps_to_threshold": "epochs to test accuracy .99",
    "test_accuracy": "test accuracy",
    "test_loss": "test hinge loss",
}


TRAJECTORIES = {
    "gate_input_plus": "w_D . o_+",
    "gate_input_minus": "w_D . o_-",
    "gate_input_irrelevant": "w_D . irrelevant (mean)",
    "gate_cosine_plus": "cos(w_D, o_+)",
    "gate_cosine_minus": "cos(w_D, o_-)",
    "gate_cosine_irrelevant": "cos(w_D, irrelevant), mean",
    "hidden_positive_plus": "rows v > 0, o_+",
    "hidden_positive_minus": "rows v > 0, o_-",
    "hidden_positive_irrelevant": "rows v > 0, irrelevant",
    "hidden_negative_plus": "rows v < 0, o_+",
    "hidden_negative_minus": "rows v < 0, o_-",
    "hidden_negative_irrelevant": "rows v < 0, irrelevant",
}
"""What a recorded trajectory is called in a legend."""


def plot_steps(
    results: Results,
    figure: Figure,
    points: Sequence[Point],
    *,
    x: str,
    line: str | None = None,
    column: str = "steps_to_convergence",
    log: bool = False,
) -> None:
    """A column over the fact `x`, a line for each value of the fact `line`.

    Steps: median with its distribution-free interval; a triangle at the budget where half the trials or more did not
    arrive. Other columns: mean with a t interval.
    """
    from matplotlib.ticker import NullLocator

    axis = figure.subplots()
    known = results.known(points)
    steps = column.startswith("steps")
    for index, value in enumerate(dict.fromkeys(p.get(line) for p in known) if line else [None]):
        series = [p for p in known if line is None or p.get(line) == value]
        colour = COLOURS[index % len(COLOURS)]
        drawn = [_steps(results, p, column) if steps else _mean(results, p, column) for p in series]
        label = None if line is None else f"{line} {value}"
        inside = [(p.get(x), *d) for p, d in zip(series, drawn, strict=True) if d is not None]
        if inside:
            places, middle, low, high = zip(*inside, strict=True)
            errors = [np.subtract(middle, low), np.subtract(high, middle)]
            axis.errorbar(places, middle, yerr=errors, color=colour, marker="o", markersize=4, capsize=2, label=label)
        beyond = [p for p, d in zip(series, drawn, strict=True) if d is None]
        if beyond:
            budgets = [results.done(p)[0]["step_budget"] for p in beyond]
            where = [p.get(x) for p in beyond]
            axis.plot(where, budgets, "^", color=colour, fillstyle="none", label=None if inside else label)
    if log:
        if steps:
            axis.set_yscale("log")
        if all(p.get(x) > 0 for p in known):
            axis.set_xscale("log")
            ticks = sorted({p.get(x) for p in known})
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(x)
    axis.set_ylabel(NAMES.get(column, column))
    axis.grid(alpha=0.25)
    if line:
        axis.legend(fontsize=8, frameon=False)


def _steps(results: Results, p: Point, column: str) -> tuple[float, float, float] | None:
    median = results.steps(p, column)
    if not math.isfinite(median.value):
        return None
    high = median.high if math.isfinite(median.high) else results.done(p)[0]["step_budget"]
    return median.value, median.low, high


def _mean(results: Results, p: Point, column: str) -> tuple[float, float, float] | None:
    interval = mean_interval(results.values(p, column))
    half = interval.half if math.isfinite(interval.half) else 0.0
    return interval.mean, interval.mean - half, interval.mean + half


def plot_trajectories(
    results: Results, figure: Figure, points: Sequence[Point], names: Sequence[str], *, log: bool = False
) -> None:
    """Recorded trajectories over training, a panel a point: mean over trials, band between lowest and highest.

    A trial that has ended keeps its last value.
    """
    known = results.known(points)
    if not known:
        return
    panels = figure.subplots(1, len(known), squeeze=False, sharey=True)[0]
    for axis, p in zip(panels, known, strict=True):
        curves = [record["curve"] for record in results.done(p)]
        last = max(curve["step"][-1] for curve in curves)
        steps = (
            np.unique(np.concatenate([[0], np.geomspace(1, max(last, 2), 200)])) if log else np.linspace(0, last, 200)
        )
        for index, name in enumerate(names):
            values = np.array([np.interp(steps, curve["step"], curve[name]) for curve in curves if name in curve])
            if not len(values):
                continue
            colour = COLOURS[index % len(COLOURS)]
            axis.plot(
                steps, values.mean(0), color=colour, label=TRAJECTORIES.get(name, name.replace("_", " ")), linewidth=1.4
            )
            axis.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        axis.set_title(p.label, fontsize=8)
        axis.set_xlabel("epoch")
        axis.axhline(0, color="#666666", linewidth=0.7)
        axis.grid(alpha=0.25)
    panels[0].legend(fontsize=7, frameon=False)
