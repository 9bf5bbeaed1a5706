"""Accuracy against the size of the state: how much must be carried to recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.ranking import Correlation, correlate
from harness.registry.cells import display_spec

from ..figures import GREY, PALETTE, label_outside, panels, whisker
from ..page import Page
from ..places import Place, block_of
from ..text import correlation_text, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECALL = "associative-recall"
FEWEST = 4
"""Architectures with a state; of fewer a rank correlation says nothing."""


def correlation_of(place: Place) -> Correlation | None:
    """Spearman's, over architectures that carry a state of a fixed size, of mean accuracy and that size."""
    sizes = {row.architecture: row.get("state_size") for row in place.rows if row.get("state_size")}
    names, seeds, scores = block_of([row for row in place.rows if row.architecture in sizes], place.axis)
    if len(names) < FEWEST or not seeds:
        return None
    return correlate([scores], [np.array([float(sizes[name]) for name in names])])


def section(page: Page, places: Sequence[Place]) -> list[str]:
    """The picture of recall, and the correlation in every place."""
    asked = [place for place in places if place.task.partition(":")[0] == RECALL and any(r.scores for r in place.rows)]
    rows = [
        {"place": place.name, "architectures": str(found.orders), "correlation": correlation_text(found)}
        for place in places
        if (found := correlation_of(place)) is not None
    ]
    return [
        "## Does a larger state remember more?",
        "State: the numbers that the first layer carries from step to step, its convolution's included, at the width of"
        " the comparison. Attention carries none of a fixed size: it keeps all steps. Spearman's rank correlation of"
        " mean accuracy with that size over the architectures that have one; 95% interval by bootstrap over seeds, p by"
        " permuting architectures, not corrected. Architectures differ in more than their state: this is no experiment"
        " on it.",
        *(page.draw("state", "Recall against state size", draw(asked)) if asked else []),
        table(rows) if rows else "Not known: too few architectures with a state have scores.",
    ]


def draw(places: Sequence[Place]) -> Figure:
    """Accuracy against state size, a panel for each place; what has no state of a fixed size stands on the right."""
    titles = {place: place.name for place in places}
    figure, found = panels(titles, width=6.5, height=4.0, across=1 if len(places) == 1 else 2)
    for place, axis in found.items():
        rows = [row for row in place.rows if row.scores]
        apart = 4.0 * max((row.get("state_size") or 1 for row in rows), default=1)
        named: list[tuple[float, float]] = []
        for row in sorted(rows, key=lambda row: row.accuracy.mean):
            x, fixed = row.get("state_size") or apart, bool(row.get("state_size"))
            y = row.accuracy.mean
            while any(abs(np.log10(x / other)) < 0.6 and y - below < 0.04 for other, below in named):
                y += 0.01  # until the name covers none of those below
            named.append((x, y))
            axis.errorbar(
                [x], [row.accuracy.mean], yerr=whisker(row.accuracy), fmt="o" if fixed else "s",
                color=PALETTE[0] if fixed else PALETTE[2], markersize=4, capsize=2,
            )  # fmt: skip
            name = display_spec("architecture", row.architecture).partition(":")[0]
            axis.annotate(name, (x, y), xytext=(5, 0), textcoords="offset points", fontsize=7, va="center")
        axis.axhline(place.chance, color=GREY, linestyle=":", linewidth=0.9)
        axis.set_xscale("log")
        axis.set_xlim(right=apart * 6)
        axis.set_ylim(-0.05, 1.15)
    label_outside(found, x="state, numbers in a layer (squares: no fixed state)", y="test accuracy")
    return figure
