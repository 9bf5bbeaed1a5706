"""Whether the theory's figure predicts which scan wins: what is left of a blob cell's trace when its next one comes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.locality import blob_gaps, retention
from harness.analysis.ranking import Correlation, correlate
from harness.analysis.statistics import holm
from harness.contracts import Grid
from harness.contracts.errors import Unsupported, UserError
from harness.registry.cells import display_spec
from harness.registry.routing import scan_from

from ..figures import label_outside, legend_below, panels
from ..page import Page
from ..places import Place
from ..text import correlation_text, joined, table
from .results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECAYS = (0.5, 0.9, 0.99)
TRAINED = "trained"
WITHOUT_DECAY = 0.9
"""Taken for mixers that have no decay (attention), and where no record has the trained one."""

BLOB = 3
KINDS = (("half-filled", True), ("dense", False))
FEWEST_ORDERS = 3


def routes_of(order: str, grid: Grid) -> np.ndarray | None:
    """int64 [routes, cells], or None where the order is not known here or does not fit."""
    try:
        return scan_from(order)[2].routes(grid)
    except (UserError, Unsupported):
        return None


@functools.cache
def gaps_of(order: str, grid: Grid, half: bool) -> np.ndarray | None:
    """float64 [cells], the distribution of `harness.analysis.locality.blob_gaps`, mean over routes; None if not known.

    Of routes that are handed out layer by layer the first: the trained decays are the first layer's.
    """
    routes = routes_of(order, grid)
    if routes is None:
        return None
    scan = scan_from(order)[2]
    followed = routes[:1] if scan.per_layer else routes
    segments = scan.segment_lengths(grid)
    return np.mean([blob_gaps(route, grid, BLOB, half=half, segments=segments) for route in followed], axis=0)


def figures_of(place: Place, decay: float | str, half: bool) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    """Orders, scores [seeds, orders] and the theory's figure [seeds, orders]; None where one is not known."""
    orders, seeds, scores = place.block()
    records = {(row.scan, r["seed"]): r for row in place.rows for r in row.records if r.get("grid")}
    grid = next((tuple(record["grid"]) for record in records.values()), None)
    if grid is None or not seeds:
        return None
    shares = {order: gaps_of(order, (grid[0], grid[1]), half) for order in orders}
    if any(share is None for share in shares.values()):
        return None
    figures = np.full(scores.shape, np.nan)
    for j, order in enumerate(orders):
        share = shares[order]
        assert share is not None
        for i, seed in enumerate(seeds):
            decays = [decay] if decay != TRAINED else records.get((order, seed), {}).get("decay_quantiles")
            if decays:
                figures[i, j] = np.mean([retention(share, float(value)) for value in decays])
    known = ~np.isnan(figures)
    if not known.any(axis=0).all():
        return None
    # A run that diverged shows no decays; it takes the mean of the other seeds.
    means = np.nansum(figures, axis=0) / known.sum(axis=0)
    return orders, scores, np.where(known, figures, means)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """An architecture's declared test: the mean over tasks of the rank correlation. corrected: Holm over a family."""

    architecture: str
    decay: float | str
    tasks: tuple[str, ...]
    found: Correlation
    corrected: float
    family: int = 1
    level: float = 0.05

    @property
    def verdict(self) -> str:
        """What the corrected test says."""
        if math.isnan(self.found.rho):
            return "underpowered: all orders alike"
        least = self.family * 2 / math.factorial(self.found.orders)  # one permutation and its mirror image
        if self.corrected > self.level and least > self.level:
            return f"underpowered with {self.found.orders} orders"
        if self.corrected > self.level:
            return f"no significant prediction of the order, p={self.corrected:.2g}"
        return f"{'predicts' if self.found.rho > 0 else 'predicts the reverse of'} the order, p={self.corrected:.2g}"


def predictions_of(results: Results) -> list[Prediction]:
    """One an architecture: half-filled blobs, the trained decay (attention: .9), all tasks that share its orders."""
    found = []
    for architecture in results.architectures:
        places = [place for place in results.places if place.beside == architecture]
        for decay in (TRAINED, WITHOUT_DECAY):
            known = {place.task: figures_of(place, decay, True) for place in places}
            known = {task: each for task, each in known.items() if each and len(each[0]) >= FEWEST_ORDERS}
            first = next(iter(known.values()), None)
            if first is None:
                continue
            known = {task: each for task, each in known.items() if each[0] == first[0]}
            correlation = correlate([each[1] for each in known.values()], [each[2] for each in known.values()])
            found.append(
                Prediction(
                    architecture=architecture, decay=decay, tasks=tuple(known), found=correlation,
                    corrected=correlation.p,
                )
            )  # fmt: skip
            break
    corrected = holm([prediction.corrected for prediction in found])
    return [replace(prediction, corrected=p, family=len(found)) for prediction, p in zip(found, corrected, strict=True)]


def section(page: Page, results: Results, predictions: list[Prediction]) -> list[str]:
    """The declared test, the figure, and every correlation."""
    lines = [
        "## Does the theory's figure predict which scan wins?",
        "For tokens of one 2D blob the figure is the mean of a^gap over the gaps between successive ones along the"
        " route: what is left of one token's trace in a state that keeps the share a at each step when the next one"
        " arrives. Spearman's rank correlation, over orders, between it and mean test accuracy; a 95% interval by"
        " bootstrap over seeds, orders resampled together (with few seeds it covers less); p by permuting the orders,"
        " exact up to seven of them. Trained: the mean over the decays that each trained mixer shows on test data.",
    ]
    if not predictions:
        return [
            *lines,
            f"Not known: it takes {FEWEST_ORDERS} orders whose routes are known, and seeds that share them.",
        ]
    declared = [
        {
            "architecture": display_spec("architecture", each.architecture),
            "tasks": joined([display_spec("task", task) for task in each.tasks]),
            "decay": str(each.decay),
            "mean correlation": correlation_text(each.found),
            "verdict": each.verdict,
        }
        for each in predictions
    ]
    return [
        *lines,
        "Declared: half-filled 3 x 3 blobs at the trained decay (attention has none: .9), the mean over tasks of the"
        " correlation, orders permuted in all tasks alike, Holm over the architectures.",
        table(declared),
        *page.draw("theory", "Accuracy against the theory's figure", draw(results, predictions)),
        "Exploratory, p not corrected:",
        table([_explored(place, kind, half) for kind, half in KINDS for place in results.places]),
    ]


def _explored(place: Place, kind: str, half: bool) -> dict[str, str]:
    row = {"blob": kind, **place.heading}
    for decay in (*DECAYS, TRAINED):
        known = figures_of(place, decay, half)
        enough = known is not None and len(known[0]) >= FEWEST_ORDERS
        row[f"a = {decay}"] = correlation_text(correlate([known[1]], [known[2]])) if known and enough else ""
    return row


def draw(results: Results, predictions: list[Prediction]) -> Figure:
    """Mean accuracy against the declared figure, a mark for each order."""
    decays = {prediction.architecture: prediction.decay for prediction in predictions}
    figure, found = panels(results.titles, width=2.6, height=2.1, across=len(results.architectures))
    for place, axis in found.items():
        decay = decays.get(place.beside, WITHOUT_DECAY)
        known = figures_of(place, decay, True)
        if known is None:
            axis.set_axis_off()
            continue
        for order, scores, figures in zip(known[0], known[1].T, known[2].T, strict=True):
            colour = results.colours[order]
            axis.plot(figures, scores, ".", color=colour, alpha=0.3, markersize=4)
            label = display_spec("scan", order)
            axis.plot(figures.mean(), scores.mean(), "o", color=colour, markersize=5, label=label)
        axis.set_xlabel(f"mean of a^gap, a {'trained' if decay == TRAINED else decay}", fontsize=7)
    label_outside(found, y="test accuracy")
    legend_below(figure)
    return figure
