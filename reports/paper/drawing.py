"""The two figures that most experiments want: steps over a setting, trajectories over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics import Interval, mean_interval

from ..figures import GREY, PALETTE, label_outside, legend_below, new_figure, panels, plot_line, whisker
from .experiment import Point, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "steps_to_convergence": "epochs to test loss < .001",
    "steps_to_threshold": "epochs to test accuracy .99",
    "test_accuracy": "test accuracy",
    "test_loss": "test hinge loss",
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
"""What a column or a recorded trajectory is called in a figure."""


def plot_means(axis: Axes, x: Sequence[float], intervals: Sequence[Interval], colour: str, label: str) -> None:
    """Means with their intervals."""
    halves = [(whisker(interval) or [0.0])[0] for interval in intervals]
    means = [interval.mean for interval in intervals]
    axis.errorbar(x, means, yerr=halves, color=colour, marker="o", markersize=4, capsize=2, label=label)


def plot_steps(
    results: Results,
    points: Sequence[Point],
    *,
    x: str,
    line: str | None = None,
    column: str = "steps_to_convergence",
) -> Figure | None:
    """A column over the fact `x`, a line for each value of the fact `line`.

    Steps: median with its distribution-free interval; a triangle at the budget where half the trials or more did not
    arrive. Other columns: mean with a t interval.
    """
    from matplotlib.ticker import NullLocator

    known = results.known(points)
    if not known:
        return None
    figure = new_figure(6.4, 3.8)
    axis = figure.subplots()
    steps = column.startswith("steps")
    for index, value in enumerate(dict.fromkeys(p.get(line) for p in known) if line else [None]):
        series = [p for p in known if line is None or p.get(line) == value]
        colour, label = PALETTE[index % len(PALETTE)], "" if line is None else f"{line} {value}"
        if not steps:
            intervals = [mean_interval(results.values(p, column)) for p in series]
            plot_means(axis, [p.get(x) for p in series], intervals, colour, label)
            continue
        medians = {p: results.steps(p, column) for p in series}
        budgets = {p: results.done(p)[0]["step_budget"] for p in series}
        inside = [p for p in series if math.isfinite(medians[p].value)]
        beyond = [p for p in series if p not in inside]
        if inside:
            middle = [medians[p].value for p in inside]
            low = [medians[p].value - medians[p].low for p in inside]
            high = [min(medians[p].high, max(budgets[p], medians[p].value)) - medians[p].value for p in inside]
            places = [p.get(x) for p in inside]
            axis.errorbar(
                places, middle, yerr=[low, high], color=colour, marker="o", markersize=4, capsize=2, label=label
            )
        if beyond:
            places, ends = [p.get(x) for p in beyond], [budgets[p] for p in beyond]
            axis.plot(places, ends, "^", color=colour, fillstyle="none", label="" if inside else label)
    if steps:
        axis.set_yscale("log")
    if all(p.get(x) > 0 for p in known):
        axis.set_xscale("log")
        ticks = sorted({p.get(x) for p in known})
        axis.set_xticks(ticks, [f"{tick:,.4g}" for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(x)
    axis.set_ylabel(NAMES.get(column, column))
    axis.grid(alpha=0.25)
    legend_below(figure)
    return figure


def plot_trajectories(
    results: Results, points: Sequence[Point], *, names: Sequence[str], log: bool = False
) -> Figure | None:
    """Recorded trajectories over training, a panel for each point: mean over trials, from the lowest to the highest.

    A trial that has ended keeps its last value.
    """
    known = results.known(points)
    if not known:
        return None
    figure, found = panels({p: p.label for p in known}, width=3.2, height=2.8, sharey=True)
    for p, axis in found.items():
        curves = [record["curve"] for record in results.done(p)]
        end = max(curve["step"][-1] for curve in curves)
        steps = np.unique(np.concatenate([[0], np.geomspace(1, max(end, 2), 200)])) if log else np.linspace(0, end, 200)
        for name, colour in zip(names, PALETTE, strict=False):
            values = np.array([np.interp(steps, curve["step"], curve[name]) for curve in curves if name in curve])
            if len(values):
                label = NAMES.get(name, name.replace("_", " "))
                plot_line(axis, steps, values.mean(0), values.min(0), values.max(0), colour=colour, label=label)
        axis.axhline(0, color=GREY, linewidth=0.7)
    label_outside(found, x="epoch")
    legend_below(figure)
    return figure
