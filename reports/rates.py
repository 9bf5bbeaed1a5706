"""Score against learning rate: how much the rate decides, and whether the one that was chosen stands at an edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.cells import UNTUNED, short
from harness.record import Record
from harness.summary import Row, without_rate
from harness.tables import rate_text

from .drawing import COLOURS, legend_beside, panel_a_scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scores = dict[float, float]
"""Mean validation accuracy of the tuning runs that ran to their end, by learning rate, rising."""


def scores_by_rate(trials: Iterable[Record]) -> Scores:
    """From the tuning runs of one cell."""
    by_rate: dict[float, list[float]] = {}
    for record in trials:
        if record["status"] == "done" and record.get("validation_accuracy") is not None:
            by_rate.setdefault(record["learning_rate"], []).append(record["validation_accuracy"])
    return {rate: float(np.mean(by_rate[rate])) for rate in sorted(by_rate)}


def plot_rates(axis: Axes, scores: Scores, chosen: float | None, *, colour: str, label: str) -> None:
    """One cell's line, a ring around the rate that was chosen."""
    axis.plot(list(scores), list(scores.values()), ".-", color=colour, linewidth=1, markersize=4, label=label)
    if chosen in scores:
        axis.plot(chosen, scores[chosen], "o", color=colour, fillstyle="none", markersize=7)


def edge_text(rows: Sequence[Row]) -> str | None:
    """In how many cells a better rate may lie beyond the grid; None where in none."""
    edges = [row for row in rows if row.done and rate_text(row).endswith("(edge)")]
    if not edges:
        return None
    return (
        f"In {len(edges)} of {len(rows)} cells the chosen rate stands at the edge of the grid: a better one may lie"
        " beyond."
    )


def section(rows: Sequence[Row], tuning: Sequence[Record], picture: Path) -> list[str]:
    """Markdown lines for the rows of one table, and the picture beside the page; none where no tuning run is theirs.

    Args:
        rows: of one table. tuning: tuning runs, of other tables too. picture: a PNG file.
    """
    trials = _trials(tuning)
    scores = {
        (row.architecture, row.scan): scores_by_rate(
            trials.get((row.task, row.architecture, row.scan, row.device, row.dtype, row.table[1]), [])
        )
        for row in rows
    }
    shown = [row for row in rows if scores[row.architecture, row.scan]]
    if rows[0].selection == UNTUNED or not shown:
        return []
    architectures = list(dict.fromkeys(row.architecture for row in shown))
    figure, panels = panel_a_scan(list(dict.fromkeys(row.scan for row in shown)), "validation accuracy")
    for row in shown:
        colour = COLOURS[architectures.index(row.architecture) % len(COLOURS)]
        label = short("architecture", row.architecture)
        plot_rates(panels[row.scan], scores[row.architecture, row.scan], row.learning_rate, colour=colour, label=label)
    for axis in panels.values():
        axis.set_xscale("log")
        axis.set_xlabel("learning rate")
    legend_beside(figure, list(panels.values()))
    figure.savefig(picture)
    edge = edge_text(rows)
    return [
        f"![score against learning rate]({picture.name})",
        "",
        "Validation accuracy of the tuning runs (seeds of their own, which no score uses) against the learning rate; a"
        f" ring marks the rate that was chosen.{' ' + edge if edge else ''}",
        "",
    ]


def _trials(tuning: Sequence[Record]) -> dict[tuple[str, ...], list[Record]]:
    """Tuning runs by cell, whatever their rates."""
    trials: dict[tuple[str, ...], list[Record]] = {}
    for record in tuning:
        cell = tuple(record[name] for name in ("task", "architecture", "scan", "device", "dtype"))
        trials.setdefault((*cell, without_rate(record["protocol"])), []).append(record)
    return trials
