"""Trained along one order, read along another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.statistics import mean_interval

from .drawing import grid_of_panels
from .markdown import signed, table
from .results import Results, chance_of, name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def matrix_of(results: Results, task: str, architecture: str) -> tuple[list[str], list[str], np.ndarray]:
    """Orders of training, orders of reading, mean test accuracy [trained, read] over seeds (NaN: not known)."""
    rows = [row for row in results.of(task, architecture) if any(_read(record) for record in row.records)]
    read = list(dict.fromkeys(order for row in rows for record in row.records for order in _read(record)))
    read = sorted(read, key=lambda order: results.orders.index(order) if order in results.orders else len(read))
    values = np.full((len(rows), len(read)), np.nan)
    for i, row in enumerate(rows):
        for j, order in enumerate(read):
            found = [_read(record)[order] for record in row.records if order in _read(record)]
            values[i, j] = np.mean(found) if found else np.nan
    return [row.scan for row in rows], read, values


def _read(record) -> dict[str, float]:
    return (record.get("transfer") or {}) if record["status"] == "done" else {}


def losses_of(results: Results, task: str, architecture: str) -> list[float]:
    """By seed: test accuracy along the order of training minus that along the others, mean over orders."""
    by_seed: dict[int, list[float]] = {}
    for row in results.of(task, architecture):
        for record in row.records:
            read = _read(record)
            others = [value for order, value in read.items() if order != row.scan]
            if others:
                # On the samples that the others read; the whole test set only where its own order was not asked for.
                own = read[row.scan] if row.scan in read else record["test_accuracy"]
                by_seed.setdefault(record["seed"], []).append(own - float(np.mean(others)))
    most = max((len(values) for values in by_seed.values()), default=0)
    return [float(np.mean(values)) for values in by_seed.values() if len(values) == most]


def section(results: Results, picture: str | None) -> list[str]:
    """Heatmaps, and what the wrong order costs."""
    lines = ["## Does what was learned along one order hold along another?", ""]
    if picture is None:
        return [*lines, "Not told: no run here was read along other orders (protocol parameter `transfer`).", ""]
    lines += [
        "Each trained model reads the same test samples along every order of one route, without further training; rows"
        " are the order of training, columns that of reading, mean over seeds. What it costs: accuracy along its own"
        " order minus the mean along the others, mean over orders, with a 95% t interval over seeds.",
        "",
        f"![Trained along one order, read along another]({picture})",
        "",
    ]
    rows = []
    for task, architecture in results.places:
        losses = losses_of(results, task, architecture)
        if losses:
            rows.append(
                {
                    "task": name_of("task", task),
                    "architecture": name_of("architecture", architecture),
                    "cost of another order": signed(mean_interval(losses, resampled=results.resampled(task))),
                    "seeds": str(len(losses)),
                }
            )
    return [*lines, table(rows), ""]


def draw(results: Results, figure: Figure) -> None:
    """A heatmap a place, from chance to 1."""
    size = 0.9 + 0.24 * len(results.orders)
    image = None
    for (task, architecture), axis in grid_of_panels(results, figure, width=size + 0.3, height=size).items():
        trained, read, values = matrix_of(results, task, architecture)
        if not trained:
            axis.set_axis_off()
            continue
        share = (values - chance_of(results.of(task, architecture)[0])) / (
            1 - chance_of(results.of(task, architecture)[0])
        )
        image = axis.imshow(share, vmin=0, vmax=1, cmap="viridis", aspect="equal")
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                colour = "white" if share[i, j] < 0.6 else "black"
                axis.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=5, color=colour)
        axis.set_xticks(range(len(read)), [name_of("scan", order) for order in read], rotation=90, fontsize=6)
        axis.set_yticks(range(len(trained)), [name_of("scan", order) for order in trained], fontsize=6)
    if image is not None:
        bar = figure.colorbar(image, ax=figure.axes, shrink=0.5, label="share of the way from chance to 1")
        bar.ax.tick_params(labelsize=7)


def known(results: Results) -> bool:
    """Whether any run was read along other orders."""
    return any(_read(record) for row in results.rows for record in row.records)
