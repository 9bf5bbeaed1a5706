"""Accuracy against the size of the state: how much must be carried to recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.ranking import Correlation, correlate

from ..scan_orders.markdown import correlation_text, table
from ..scan_orders.results import scores_of
from . import look
from .places import Place

RECALL = "associative-recall"
FEWEST = 4
"""Architectures with a state; of fewer a rank correlation says nothing."""


def correlation_of(place: Place) -> Correlation | None:
    """Spearman's, over architectures that carry a state of a fixed size, of mean accuracy and that size."""
    found = {
        row.architecture: (scores_of(row), row.get("state_size"))
        for row in place.rows
        if row.get("state_size") and scores_of(row)
    }
    if len(found) < FEWEST:
        return None
    seeds = sorted(set.intersection(*(set(scores) for scores, _ in found.values())))
    if not seeds:
        return None
    scores = np.array([[each[seed] for each, _ in found.values()] for seed in seeds])
    return correlate([scores], [np.array([float(size) for _, size in found.values()])])


def section(places: Sequence[Place], picture: Path) -> list[str]:
    """The picture of recall, and the correlation in every place."""
    lines = [
        "## Does a larger state remember more?",
        "",
        "State: the numbers that the first layer carries from step to step, its convolution's included, at the width of"
        " the comparison. Attention carries none of a fixed size: it keeps all steps. Spearman's rank correlation of"
        " mean accuracy with that size over the architectures that have one; 95% interval by bootstrap over seeds, p by"
        " permuting architectures, not corrected. Architectures differ in more than their state: this is no experiment"
        " on it.",
        "",
    ]
    asked = [place for place in places if place.task.partition(":")[0] == RECALL and any(r.done for r in place.rows)]
    if asked:
        lines += [f"![Recall against state size]({look.draw_state(asked, picture).name})", ""]
    rows = []
    for place in places:
        found = correlation_of(place)
        if found is not None:
            rows.append(
                {"place": place.name, "architectures": str(found.orders), "correlation": correlation_text(found)}
            )
    return [*lines, table(rows) if rows else "Not told: too few architectures with a state have scores.", ""]
