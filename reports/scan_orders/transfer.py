"""Trained along one order, read along another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics import mean_interval
from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.store.record import Record

from ..figures import panels
from ..page import Page
from ..places import Place
from ..text import signed, table
from .results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def matrix_of(results: Results, place: Place) -> tuple[list[str], list[str], np.ndarray]:
    """Orders of training, orders of reading, mean test accuracy [trained, read] over seeds (NaN: not known)."""
    rows = [row for row in place.rows if any(map(_read, row.records))]
    read = list(dict.fromkeys(order for row in rows for record in row.records for order in _read(record)))
    read = sorted(read, key=lambda order: results.orders.index(order) if order in results.orders else len(read))
    values = np.full((len(rows), len(read)), np.nan)
    for i, row in enumerate(rows):
        for j, order in enumerate(read):
            found = [_read(record)[order] for record in row.records if order in _read(record)]
            values[i, j] = np.mean(found) if found else np.nan
    return [row.scan for row in rows], read, values


def _read(record: Record) -> dict[str, float]:
    return (record.get("transfer") or {}) if record["status"] == Status.DONE else {}


def losses_of(place: Place) -> list[float]:
    """By seed: test accuracy along the order of training minus that along the others, mean over orders."""
    by_seed: dict[int, list[float]] = {}
    for row in place.rows:
        for record in row.records:
            read = _read(record)
            others = [value for order, value in read.items() if order != row.scan]
            if others:
                # On the samples that the others read; the whole test set only where its own order was not asked for.
                own = read[row.scan] if row.scan in read else record["test_accuracy"]
                by_seed.setdefault(record["seed"], []).append(own - float(np.mean(others)))
    most = max((len(values) for values in by_seed.values()), default=0)
    return [float(np.mean(values)) for values in by_seed.values() if len(values) == most]


def section(page: Page, results: Results) -> list[str]:
    """Heatmaps, and what the wrong order costs."""
    lines = ["## Does what was learned along one order hold along another?"]
    losses = {place: losses for place in results.places if (losses := losses_of(place))}
    if not losses:
        return [*lines, "Not known: no run here was read along other orders (protocol parameter `transfer`)."]
    rows = [
        {
            **place.heading,
            "cost of another order": signed(mean_interval(values, test_train_ratio=place.test_train_ratio)),
            "seeds": str(len(values)),
        }
        for place, values in losses.items()
    ]
    return [
        *lines,
        "Each trained model reads the same test samples along every order of one route, without further training; rows"
        " are the order of training, columns that of reading, mean over seeds. What it costs: accuracy along its own"
        " order minus the mean along the others, mean over orders, with a 95% t interval over seeds.",
        *page.draw("transfer", "Trained along one order, read along another", draw(results)),
        table(rows),
    ]


def draw(results: Results) -> Figure:
    """A heatmap for each place, from chance to 1."""
    size = 0.9 + 0.24 * len(results.orders)
    across = len(results.architectures)
    figure, found = panels(results.titles, width=size + 0.3, height=size, across=across)
    image = None
    for place, axis in found.items():
        axis.grid(visible=False)
        trained, read, values = matrix_of(results, place)
        if not trained:
            axis.set_axis_off()
            continue
        share = (values - place.chance) / (1 - place.chance)
        image = axis.imshow(share, vmin=0, vmax=1, cmap="viridis", aspect="equal")
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                colour = "white" if share[i, j] < 0.6 else "black"
                axis.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=5.5, color=colour)
        axis.set_xticks(range(len(read)), [display_spec("scan", order) for order in read], rotation=90, fontsize=7)
        axis.set_yticks(range(len(trained)), [display_spec("scan", order) for order in trained], fontsize=7)
    if image is not None:
        bar = figure.colorbar(image, ax=figure.axes, shrink=0.5, label="share of the way from chance to 1")
        bar.set_label(bar.ax.get_ylabel(), fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure
