"""What accuracy costs in throughput: the Pareto front of a table's cells, as a picture and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.pareto import Dominance, Estimate, ParetoPoint, Standing, front_of, points_of
from harness.analysis.summary import Row
from harness.analysis.tables import markdown_table, standing_text
from harness.registry.cells import display_spec

from .figures import GREY, MARKERS, colours_of, legend_below, new_figure
from .page import Page
from .text import counted, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PHASES = {"step": "training", "forward": "inference"}


def section(page: Page, what: str, rows: Sequence[Row], *, phase: str = "step") -> list[str]:
    """Markdown lines for the rows of one table, and the picture beside the page; none where no cell was timed.

    Args:
        what: name of the picture. rows: as `harness.analysis.pareto.points_of` takes them. phase: "step" or "forward".
    """
    standings = front_of(points_of(rows, phase))
    lines = page.draw(what, f"{PHASES[phase]} speed", draw_front(standings, phase=phase))
    if len(standings) < 2:
        return lines
    left_out = len([row for row in rows if row.scores]) - len(standings)
    missing = f" Left out: {counted(left_out, 'cell')} without a speed of this timing session." if left_out else ""
    return [
        *lines,
        f"Accuracy against {PHASES[phase]} throughput, both with 95% intervals: accuracy over seeds, throughput over"
        " the samples of one timing session. Dominated: another cell lies surely above in both. On the front: every"
        " other cell lies surely below in one of them. All else is undecided. A cell at chance stands on the front if"
        f" it is fast enough.{missing}",
        markdown_table(front_columns(standings, phase=phase)),
    ]


def front_columns(standings: Sequence[Standing], *, phase: str = "step") -> dict[str, list[str]]:
    """Header to texts, the fastest cell first."""
    ordered = sorted(standings, key=lambda standing: -standing.point.throughput.value)
    points = [standing.point for standing in ordered]
    return {
        "architecture": [display_spec("architecture", point.architecture) for point in points],
        "scan": [display_spec("scan", point.scan) for point in points],
        "test accuracy": [_text(point.accuracy, ".3f") for point in points],
        f"{PHASES[phase]} tok/s": [_text(point.throughput, ",.0f") for point in points],
        "Pareto front": [
            "; ".join([standing_text(standing), *(f"below {_name(p)}" for p in standing.dominated_by[:1])])
            for standing in ordered
        ],
    }


def _text(estimate: Estimate, form: str) -> str:
    return span(estimate.value, estimate.low, estimate.high, form)


def _name(point: ParetoPoint) -> str:
    return f"{display_spec('architecture', point.architecture)} {display_spec('scan', point.scan)}"


def draw_front(standings: Sequence[Standing], *, phase: str = "step") -> Figure | None:
    """Accuracy against throughput with error bars both ways, and the front of the point estimates.

    A full mark stands surely on the front, an open one is undecided, a faint one is surely dominated.
    """
    if not standings:
        return None
    points = [standing.point for standing in standings]
    architectures = list(dict.fromkeys(point.architecture for point in points))
    scans = list(dict.fromkeys(point.scan for point in points))
    figure = new_figure(7.0, 3.8)
    axis = figure.subplots()
    front = sorted((s.point for s in standings if s.on_front), key=lambda point: point.throughput.value)
    axis.plot(
        [point.throughput.value for point in front],
        [point.accuracy.value for point in front],
        drawstyle="steps-pre",
        color=GREY,
        linewidth=0.9,
        zorder=1,
        label="front of the point estimates",
    )
    colours = colours_of(architectures)
    # A mark is a scan's, or, with one scan, one of the architectures that share a colour.
    alike = {name: [other for other in architectures if colours[other] == colours[name]] for name in architectures}
    marks = {
        (name, scan): MARKERS[(j if len(scans) > 1 else alike[name].index(name)) % len(MARKERS)]
        for name in architectures
        for j, scan in enumerate(scans)
    }
    for standing in standings:
        point, colour = standing.point, colours[standing.point.architecture]
        axis.errorbar(
            [point.throughput.value],
            [point.accuracy.value],
            xerr=_error(point.throughput),
            yerr=_error(point.accuracy),
            fmt=marks[point.architecture, point.scan],
            color=colour,
            markerfacecolor="white" if standing.verdict is Dominance.UNDECIDED else colour,
            alpha=0.35 if standing.verdict is Dominance.DOMINATED else 1.0,
            markersize=5,
            capsize=2,
        )
    for name in architectures:
        mark = "o" if len(scans) > 1 else marks[name, scans[0]]
        axis.plot([], [], mark, color=colours[name], label=display_spec("architecture", name))
    for scan in scans if len(scans) > 1 else ():
        axis.plot([], [], marks[architectures[0], scan], color=GREY, label=display_spec("scan", scan))
    axis.plot([], [], "o", color=GREY, markerfacecolor="white", label="open: undecided")
    axis.plot([], [], "o", color=GREY, alpha=0.35, label="faint: dominated")
    low, high = (pick(point.accuracy.value for point in points) for pick in (min, max))
    axis.set_ylim(max(-0.02, low - 0.1), min(1.02, high + 0.1))  # an interval of two seeds would dwarf all else
    axis.set_xscale("log")
    axis.tick_params(axis="x", which="both", labelsize=7)  # those of minor ticks come close to each other
    axis.set_xlabel(f"{PHASES[phase]} throughput, tokens (cells) a second")
    axis.set_ylabel("test accuracy")
    axis.grid(alpha=0.25, which="both")
    legend_below(figure)
    return figure


def _error(estimate: Estimate) -> list[list[float]] | None:
    """Distances to both bounds, as errorbar takes them."""
    if math.isnan(estimate.low):
        return None
    return [[estimate.value - estimate.low], [estimate.high - estimate.value]]
