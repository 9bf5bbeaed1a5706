"""Score against learning rate: how much the rate decides, and whether the one that was chosen stands at an edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.rates import area_over_rates
from harness.analysis.summary import Row, without_rate
from harness.contracts.outcome import Status
from harness.registry.cells import FINAL
from harness.store.record import Record

from .figures import colours_of, label_outside, legend_below, panels
from .page import Page
from .text import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = dict[float, float]
"""Mean validation accuracy of the tuning runs that ran to their end, by learning rate, rising."""


def scores_by_rate(trials: Iterable[Record]) -> Scores:
    """From the tuning runs of one cell."""
    by_rate: dict[float, list[float]] = {}
    for record in trials:
        if record["status"] == Status.DONE and record.get("validation_accuracy") is not None:
            by_rate.setdefault(record["learning_rate"], []).append(record["validation_accuracy"])
    return {rate: float(np.mean(by_rate[rate])) for rate in sorted(by_rate)}


class Trials:
    """Tuning runs by cell, whatever their rates. records: of any purpose; only tuning runs are taken."""

    def __init__(self, records: Iterable[Record]):
        self._by_cell: dict[tuple[str, ...], list[Record]] = {}
        for record in records:
            if record["purpose"] != FINAL:
                cell = (record[name] for name in ("task", "architecture", "scan", "device", "dtype"))
                self._by_cell.setdefault((*cell, without_rate(record["protocol"])), []).append(record)

    def scores(self, row: Row) -> Scores:
        """Of the tuning runs that chose a row's rate; none where it was not tuned."""
        cell = (row.task, row.architecture, row.scan, row.device, row.dtype, row.table.protocol)
        return {} if row.lr_selection is None else scores_by_rate(self._by_cell.get(cell, ()))


def edge_text(rows: Sequence[Row]) -> str:
    """In how many cells a better rate may lie beyond the grid; nothing where in none."""
    edges = [row for row in rows if row.done and row.at_edge]
    if not edges:
        return ""
    return (
        f" In {len(edges)} of {len(rows)} cells the chosen rate stands at the edge of the grid: a better one may lie"
        " beyond."
    )


def section(
    page: Page, what: str, rows: Sequence[Row], trials: Trials, *, panel: Callable[[Row], str],
    line: Callable[[Row], str], across: int = 3,
) -> list[str]:  # fmt: skip
    """The picture and what it shows; nothing where no tuning run is theirs.

    Args:
        panel, line: where a row is drawn, and what its line is called.
    """
    scores = {row: trials.scores(row) for row in rows}
    figure = draw(scores, rows, panel, line, across)
    lines = page.draw(what, "Score against learning rate", figure)
    return lines and [
        *lines,
        "Validation accuracy of the tuning runs (held-out seeds, which no score uses) against the learning rate; a ring"
        f" marks the rate that was chosen.{edge_text(rows)}",
        *robustness(scores, line),
    ]


def robustness(scores: Mapping[Row, Scores], line: Callable[[Row], str]) -> list[str]:
    """Best score beside the mean over all rates, a line each, means over its cells; the most robust first."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row, values in scores.items():
        if len(values) > 1:
            area = area_over_rates(list(values), list(values.values()))
            found.setdefault(line(row), []).append((max(values.values()), area))
    means = {name: np.mean(pairs, axis=0) for name, pairs in found.items()}
    if not means:
        return []
    rows = [
        {"": name, "best rate": f"{best:.3f}", "all rates": f"{area:.3f}", "lost": f"{best - area:.3f}"}
        for name, (best, area) in sorted(means.items(), key=lambda item: item[1][0] - item[1][1])
    ]
    return [
        "How much the rate decides: validation accuracy at the best rate, and its mean over the logarithm of the rates"
        " tried (the area over the curve).",
        table(rows),
    ]


def draw(
    scores: dict[Row, Scores], rows: Sequence[Row], panel: Callable[[Row], str], line: Callable[[Row], str], across: int
) -> Figure | None:
    """A ring around the rate that was chosen."""
    rows = [row for row in rows if scores[row]]
    if not rows:
        return None
    colours = colours_of(map(line, rows))
    titles = {panel(row): panel(row) for row in rows}
    figure, found = panels(titles, width=7.6 / across + 0.4, height=1.9, across=across, sharex=True, sharey=True)
    for row in rows:
        axis, colour, values = found[panel(row)], colours[line(row)], scores[row]
        axis.plot(list(values), list(values.values()), ".-", color=colour, linewidth=1, markersize=4, label=line(row))
        if row.learning_rate in values:
            axis.plot(row.learning_rate, values[row.learning_rate], "o", color=colour, fillstyle="none", markersize=7)
    for axis in found.values():
        axis.set_xscale("log")
    label_outside(found, x="learning rate", y="validation accuracy")
    legend_below(figure)
    return figure
