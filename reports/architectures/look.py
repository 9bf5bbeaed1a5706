"""One look for every architecture, in every figure of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.cells import short

from ..drawing import COLOURS, new_figure
from ..rates import plot_rates, scores_by_rate
from .places import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 3


def names_of(places: Sequence[Place]) -> list[str]:
    """Canonical texts of all architectures, as the places list them."""
    return list(dict.fromkeys(row.architecture for place in places for row in place.rows))


def name_of(architecture: str) -> str:
    """For people."""
    return short("architecture", architecture)


def panels(
    count: int, path: Path, draw: Callable[[int, Axes], None], *, width: float, height: float, across: int = ACROSS
) -> Path:
    """Write a figure of so many panels, side by side in rows; width, height: of one, in inches."""
    down, across = -(-count // across), min(count, across)
    figure = new_figure(width * across, height * down)
    axes = figure.subplots(down, across, squeeze=False)
    for index, axis in enumerate(axes.flat):
        if index < count:
            axis.tick_params(labelsize=7)
            draw(index, axis)
        else:
            axis.set_visible(False)
    figure.savefig(path)
    return path


def draw_overview(places: Sequence[Place], leading: Sequence[Sequence[str]], path: Path) -> Path:
    """A panel a place: mean accuracy with its interval, a dot a seed, the best on top; full marks: who leads."""

    def draw(index: int, axis: Axes) -> None:
        place = places[index]
        rows = sorted((row for row in place.rows if row.done), key=lambda row: -row.accuracy.mean)
        for y, row in enumerate(rows):
            scores = [record["test_accuracy"] for record in row.records if record["status"] == "done"]
            axis.plot(scores, [y] * len(scores), ".", color="#777777", alpha=0.4, markersize=4)
            full = row.architecture in leading[index]
            half = [row.accuracy.half] if row.accuracy.n > 1 else None
            axis.errorbar(
                [row.accuracy.mean], [y], xerr=half, fmt="o", color="#0072B2", markersize=5, capsize=2,
                markerfacecolor="#0072B2" if full else "white",
            )  # fmt: skip
        axis.set_yticks(range(len(rows)), [name_of(row.architecture) for row in rows], fontsize=7)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.axvline(place.chance, color="#666666", linestyle=":", linewidth=0.9)
        lowest = min([place.chance, *(record["test_accuracy"] for row in rows for record in _done(row))])
        axis.set_xlim(max(-0.02, lowest - 0.06), 1.02)
        axis.set_title(place.name, fontsize=8)
        axis.grid(axis="x", alpha=0.25)

    height = 0.7 + 0.17 * max(len(place.rows) for place in places)
    return panels(len(places), path, draw, width=4.0, height=height)


def draw_rates(places: Sequence[Place], path: Path) -> Path:
    """A panel an architecture, a line a place: validation accuracy of the tuning runs against the rate."""
    architectures = [
        name
        for name in names_of(places)
        if any(record["architecture"] == name for place in places for record in place.tuning)
    ]

    def draw(index: int, axis: Axes) -> None:
        for number, place in enumerate(places):
            row = next((row for row in place.rows if row.architecture == architectures[index]), None)
            if row is not None:
                scores = rates_of(place, row.architecture)
                plot_rates(axis, scores, row.learning_rate, colour=COLOURS[number % len(COLOURS)], label=place.name)
        axis.set_xscale("log")
        axis.set_ylim(-0.02, 1.02)
        axis.set_title(name_of(architectures[index]), fontsize=8)
        axis.grid(alpha=0.25)
        if index == 0:
            axis.set_ylabel("validation accuracy", fontsize=7)
            axis.legend(fontsize=5, frameon=False)

    return panels(len(architectures), path, draw, width=2.2, height=1.8, across=5)


def rates_of(place: Place, architecture: str) -> dict[float, float]:
    """Mean validation accuracy of the tuning runs by learning rate."""
    return scores_by_rate(record for record in place.tuning if record["architecture"] == architecture)


def _done(row) -> list[dict]:
    return [record for record in row.records if record["status"] == "done"]


def draw_state(places: Sequence[Place], path: Path) -> Path:
    """Accuracy against state size, a panel a place; what has no state of a fixed size stands apart on the right."""

    def draw(index: int, axis: Axes) -> None:
        place = places[index]
        rows = [row for row in place.rows if row.done]
        sizes = [row.get("state_size") for row in rows]
        known = [size for size in sizes if size]
        apart = 4.0 * max(known, default=1)
        for row, size in zip(rows, sizes, strict=True):
            x, half = size or apart, row.accuracy.half
            axis.errorbar(
                [x], [row.accuracy.mean], yerr=None if np.isnan(half) else [half], fmt="o" if size else "s",
                color="#0072B2" if size else "#D55E00", markersize=4, capsize=2,
            )  # fmt: skip
            axis.annotate(
                name_of(row.architecture).partition(":")[0], (x, row.accuracy.mean), xytext=(4, 2),
                textcoords="offset points", fontsize=6,
            )  # fmt: skip
        axis.axhline(place.chance, color="#666666", linestyle=":", linewidth=0.9)
        axis.set_xscale("log")
        axis.set_xlim(right=apart * 4)
        axis.set_ylim(-0.02, 1.05)
        axis.set_title(place.name, fontsize=8)
        axis.set_xlabel("state, numbers a layer (squares: no fixed state)", fontsize=7)
        axis.set_ylabel("test accuracy", fontsize=7)
        axis.grid(alpha=0.25)

    return panels(len(places), path, draw, width=6.0, height=3.6, across=2)
