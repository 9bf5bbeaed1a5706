"""What accuracy costs in throughput: the Pareto front of a table's cells, as a picture and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from harness.cells import short
from harness.pareto import Estimate, Point, Standing, front_of, points_of
from harness.summary import Row
from harness.tables import markdown_table

from .drawing import COLOURS, MARKERS, new_figure

PHASES = {"step": "training", "forward": "inference"}


def section(rows: Sequence[Row], picture: Path, *, phase: str = "step") -> list[str]:
    """Markdown lines for the rows of one table, and the picture beside the page; none where no cell was timed.

    Args:
        rows: as `harness.pareto.points_of` takes them. picture: a PNG file. phase: "step" or "forward".
    """
    standings = front_of(points_of(rows, phase))
    if not draw_front(standings, picture, phase=phase):
        return []
    lines = [f"![{PHASES[phase]} speed]({picture.name})", ""]
    if len(standings) < 2:
        return lines
    left_out = len([row for row in rows if row.done]) - len(standings)
    cells = f"{left_out} cell{'s' * (left_out > 1)}"
    missing = f" Left out: {cells} without a speed of this timing session." if left_out else ""
    return [
        *lines,
        f"Accuracy against {PHASES[phase]} throughput, both with 95% intervals: accuracy over seeds, throughput over"
        " the samples of one timing session. Dominated: another cell lies surely above in both. On the front: every"
        " other cell lies surely below in one of them. All else is undecided. A cell at chance stands on the front if"
        f" it is fast enough.{missing}",
        "",
        markdown_table(front_columns(standings, phase=phase)),
        "",
    ]


def front_columns(standings: Sequence[Standing], *, phase: str = "step") -> dict[str, list[str]]:
    """Header to texts, the fastest cell first."""
    ordered = sorted(standings, key=lambda standing: -standing.point.throughput.value)
    points = [standing.point for standing in ordered]
    return {
        "architecture": [short("architecture", point.architecture) for point in points],
        "scan": [short("scan", point.scan) for point in points],
        "test accuracy": [_text(point.accuracy, ".3f") for point in points],
        f"{PHASES[phase]} tok/s": [_text(point.throughput, ",.0f") for point in points],
        "Pareto front": [
            "; ".join([standing.text, *(f"below {_name(p)}" for p in standing.dominated_by[:1])])
            for standing in ordered
        ],
    }


def _text(estimate: Estimate, form: str) -> str:
    value, low, high = (format(number, form) for number in (estimate.value, estimate.low, estimate.high))
    return value if math.isnan(estimate.low) else f"{value} [{low}, {high}]"


def _name(point: Point) -> str:
    return f"{short('architecture', point.architecture)} {short('scan', point.scan)}"


def draw_front(standings: Sequence[Standing], path: Path, *, phase: str = "step") -> bool:
    """Accuracy against throughput with error bars both ways, and the front of the point estimates.

    A full mark stands surely on the front, an open one is undecided, a faint one is surely dominated.
    """
    if not standings:
        return False
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
        color="#666666",
        linewidth=0.9,
        zorder=1,
        label="front of the point estimates",
    )
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(architectures)}
    # A mark tells scans apart, or, with one scan, the architectures that share a colour.
    marks = {
        (name, scan): MARKERS[(j if len(scans) > 1 else i // len(COLOURS)) % len(MARKERS)]
        for i, name in enumerate(architectures)
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
            markerfacecolor="white" if standing.verdict == "undecided" else colour,
            alpha=0.35 if standing.verdict == "dominated" else 1.0,
            markersize=5,
            capsize=2,
        )
    for name in architectures:
        mark = "o" if len(scans) > 1 else marks[name, scans[0]]
        axis.plot([], [], mark, color=colours[name], label=short("architecture", name))
    for scan in scans if len(scans) > 1 else ():
        axis.plot([], [], marks[architectures[0], scan], color="#444444", label=short("scan", scan))
    axis.plot([], [], "o", color="#444444", markerfacecolor="white", label="open: undecided")
    axis.plot([], [], "o", color="#444444", alpha=0.35, label="faint: dominated")
    low, high = (pick(point.accuracy.value for point in points) for pick in (min, max))
    axis.set_ylim(max(-0.02, low - 0.1), min(1.02, high + 0.1))  # an interval of two seeds would dwarf all else
    axis.set_xscale("log")
    axis.tick_params(axis="x", which="both", labelsize=7)  # those of minor ticks come close to each other
    axis.set_xlabel(f"{PHASES[phase]} throughput, tokens (cells) a second")
    axis.set_ylabel("test accuracy")
    axis.grid(alpha=0.25, which="both")
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path)
    return True


def _error(estimate: Estimate) -> list[list[float]] | None:
    """Distances to both bounds, as errorbar takes them."""
    if math.isnan(estimate.low):
        return None
    return [[estimate.value - estimate.low], [estimate.high - estimate.value]]
