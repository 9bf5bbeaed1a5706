"""What the figures share: a canvas, a panel for every task and architecture, one look for every order."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.contracts import Grid
from harness.drawing import draw_png
from harness.errors import Unsupported, UserError
from harness.routing import scan_from

from .results import Results, chance_of, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#777777", "#56B4E9", "#8C6D31", "#5B2A86", "#000000",
)  # fmt: skip
"""After Okabe and Ito: told apart by colour-blind readers too."""


def colour_of(results: Results, order: str) -> str:
    """An order's colour in every figure of one page."""
    return COLOURS[results.orders.index(order) % len(COLOURS)]


def save(draw: Callable[[Figure], None], path: Path) -> Path:
    """Draw into a new figure and write it."""
    # Figure instead of pyplot: it draws with Agg whatever backend is set, and leaves no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    figure.savefig(path)
    return path


def grid_of_panels(
    results: Results, figure: Figure, *, width: float, height: float, labels: bool = True, **shared: str | bool
) -> dict[tuple[str, str], Axes]:
    """A row of panels a task, a column an architecture; the panels of places that have cells, by (task, architecture).

    Args:
        width: of a panel, in inches. height: likewise. labels: leave room for axis labels. shared: as `subplots`.
    """
    down, across = len(results.tasks), len(results.architectures)
    figure.set_size_inches(max(4.0, width * across + 0.6 * labels), max(1.8, height * down + 0.5))
    axes = figure.subplots(down, across, squeeze=False, **shared)  # type: ignore[arg-type]
    panels = {}
    for i, task in enumerate(results.tasks):
        for j, architecture in enumerate(results.architectures):
            axis = axes[i, j]
            if (task, architecture) not in results.places:
                axis.set_visible(False)
                continue
            axis.set_title(f"{name_of('task', task)}\n{name_of('architecture', architecture)}", fontsize=7)
            axis.tick_params(labelsize=7)
            panels[task, architecture] = axis
    return panels


def draw_overview(results: Results, best: dict[tuple[str, str], tuple[str, ...]], figure: Figure) -> None:
    """Accuracy by order: a line an order, mean with its interval, a dot a seed; full marks are the best set."""
    height = 0.6 + 0.2 * len(results.orders)
    panels = grid_of_panels(results, figure, width=2.7, height=height, sharex="row", sharey=True)
    for place, axis in panels.items():
        for row in results.of(*place):
            y, colour = results.orders.index(row.scan), colour_of(results, row.scan)
            scores = list(results.done(*place, row.scan).values())
            interval = results.accuracy(row)
            if not scores:
                continue
            axis.plot(scores, [y] * len(scores), ".", color=colour, alpha=0.35, markersize=4)
            full = row.scan in best.get(place, ())
            axis.errorbar(
                [interval.mean],
                [y],
                xerr=[0.0 if math.isnan(interval.half) else interval.half],
                fmt="o",
                color=colour,
                markerfacecolor=colour if full else "white",
                markersize=5,
                capsize=2,
            )
        axis.axvline(chance_of(results.of(*place)[0]), color="#666666", linestyle=":", linewidth=0.9)
        axis.grid(axis="x", alpha=0.25)
        axis.set_yticks(range(len(results.orders)), [name_of("scan", order) for order in results.orders])
        axis.set_ylim(len(results.orders) - 0.5, -0.5)
        everything = [r for a in results.architectures for row in results.of(place[0], a) for r in row.records]
        scores = [r["test_accuracy"] for r in everything if r["status"] == "done"]
        if scores:  # intervals of few seeds reach far beyond what an accuracy can be
            axis.set_xlim(max(-0.02, min([*scores, chance_of(results.of(*place)[0])]) - 0.05), 1.02)
    for axis in list(panels.values())[-len(results.architectures) :]:
        axis.set_xlabel("test accuracy", fontsize=7)


def routes_of(order: str, grid: Grid) -> np.ndarray | None:
    """int64 [routes, cells], or None where the order is not known here or does not fit."""
    try:
        return scan_from(order)[2].routes(grid)
    except (UserError, Unsupported):
        return None


def draw_gallery(results: Results, grid: Grid, path: Path) -> bool:
    """The routes of all orders of one route, side by side."""
    known = {order: routes_of(order, grid) for order in results.orders}
    single = {order: routes[0] for order, routes in known.items() if routes is not None and len(routes) == 1}
    if not single:
        return False
    names = [name_of("scan", order) for order in single]
    draw_png(np.stack(list(single.values())), grid, path, names=names, across=3)
    return True
