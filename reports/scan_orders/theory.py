"""Whether the theory's figure predicts which scan wins: what is left of a blob cell's trace when its next one comes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.contracts import Grid
from harness.locality import blob_gaps, retention
from harness.ranking import Correlation, correlate
from harness.routing import scan_from
from harness.statistics import holm

from ..words import joined
from .drawing import colour_of, grid_of_panels, routes_of
from .markdown import correlation_text, table
from .results import Results, name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECAYS = (0.5, 0.9, 0.99)
TRAINED = "trained"
WITHOUT_DECAY = 0.9
"""Taken for mixers that have no decay (attention), and where no record has the trained one."""

BLOB = 3
KINDS = (("half-filled", True), ("dense", False))
FEWEST_ORDERS = 3


@functools.cache
def gaps_of(order: str, grid: Grid, half: bool) -> np.ndarray | None:
    """float64 [cells], the distribution of `harness.locality.blob_gaps`, mean over routes; None if not known here.

    Of routes that are handed out layer by layer the first: the trained decays are the first layer's.
    """
    routes = routes_of(order, grid)
    if routes is None:
        return None
    scan = scan_from(order)[2]
    followed = routes[:1] if scan.per_layer else routes
    segments = scan.segment_lengths(grid)
    return np.mean([blob_gaps(route, grid, BLOB, half=half, segments=segments) for route in followed], axis=0)


def figures_of(
    results: Results, task: str, architecture: str, decay: float | str, half: bool
) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    """Orders, scores [seeds, orders] and the theory's figure [seeds, orders]; None where one is not known."""
    block = results.block(task, architecture)
    records = {(row.scan, r["seed"]): r for row in results.of(task, architecture) for r in row.records if r.get("grid")}
    grid = next((tuple(record["grid"]) for record in records.values()), None)
    if grid is None or not block.seeds:
        return None
    shares = {order: gaps_of(order, (grid[0], grid[1]), half) for order in block.orders}
    if any(share is None for share in shares.values()):
        return None
    figures = np.full(block.scores.shape, np.nan)
    for j, order in enumerate(block.orders):
        share = shares[order]
        assert share is not None
        for i, seed in enumerate(block.seeds):
            decays = [decay] if decay != TRAINED else records.get((order, seed), {}).get("decay_quantiles")
            if decays:
                figures[i, j] = np.mean([retention(share, float(value)) for value in decays])
    known = ~np.isnan(figures)
    if not known.any(axis=0).all():
        return None
    # A run that diverged shows no decays; it takes the mean of the other seeds.
    means = np.nansum(figures, axis=0) / known.sum(axis=0)
    return block.orders, block.scores, np.where(known, figures, means)


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
            return "undecidable: all orders alike"
        least = self.family * 2 / math.factorial(self.found.orders)  # one permutation and its mirror image
        if self.corrected > self.level and least > self.level:
            return f"undecidable with {self.found.orders} orders"
        if self.corrected > self.level:
            return f"not told to predict the order, p={self.corrected:.2g}"
        return f"{'predicts' if self.found.rho > 0 else 'predicts the reverse of'} the order, p={self.corrected:.2g}"


def predictions_of(results: Results) -> list[Prediction]:
    """One an architecture: half-filled blobs, the trained decay (attention: .9), all tasks that share its orders."""
    found = []
    for architecture in results.architectures:
        tasks = [task for task, other in results.places if other == architecture]
        for decay in (TRAINED, WITHOUT_DECAY):
            known = {task: figures_of(results, task, architecture, decay, True) for task in tasks}
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


def section(results: Results, predictions: list[Prediction], picture: str) -> list[str]:
    """The declared test, the figure, and every correlation."""
    lines = [
        "## Does the theory's figure predict which scan wins?",
        "",
        "For tokens of one 2D blob the figure is the mean of a^gap over the gaps between successive ones along the"
        " route: what is left of one token's trace in a state that keeps the share a at each step when the next one"
        " arrives. Spearman's rank correlation, over orders, between it and mean test accuracy; a 95% interval by"
        " bootstrap over seeds, orders resampled together (with few seeds it covers less); p by permuting the orders,"
        " exact up to seven of them. Trained: the mean over the decays that each trained mixer shows on test data.",
        "",
    ]
    if not predictions:
        return [
            *lines,
            f"Not told: it takes {FEWEST_ORDERS} orders whose routes are known, and seeds that share them.",
            "",
        ]
    lines += [
        "Declared: half-filled 3 x 3 blobs at the trained decay (attention has none: .9), the mean over tasks of the"
        " correlation, orders permuted in all tasks alike, Holm over the architectures.",
        "",
        table(
            [
                {
                    "architecture": name_of("architecture", each.architecture),
                    "tasks": joined([name_of("task", task) for task in each.tasks]),
                    "decay": str(each.decay),
                    "mean correlation": correlation_text(each.found),
                    "verdict": each.verdict,
                }
                for each in predictions
            ]
        ),
        "",
        f"![Accuracy against the theory's figure]({picture})",
        "",
        "Exploratory, p not corrected:",
        "",
    ]
    rows = []
    for kind, half in KINDS:
        for task, architecture in results.places:
            row = {
                "blob": kind,
                "task": name_of("task", task),
                "architecture": name_of("architecture", architecture),
            }
            for decay in (*DECAYS, TRAINED):
                known = figures_of(results, task, architecture, decay, half)
                enough = known is not None and len(known[0]) >= FEWEST_ORDERS
                text = correlation_text(correlate([known[1]], [known[2]])) if known is not None and enough else ""
                row[f"a = {decay}"] = text
            rows.append(row)
    return [*lines, table(rows), ""]


def draw(results: Results, predictions: list[Prediction], figure: Figure) -> None:
    """Mean accuracy against the declared figure, a mark an order."""
    decays = {prediction.architecture: prediction.decay for prediction in predictions}
    panels = grid_of_panels(results, figure, width=2.4, height=1.9)
    for (task, architecture), axis in panels.items():
        decay = decays.get(architecture, WITHOUT_DECAY)
        known = figures_of(results, task, architecture, decay, True)
        if known is None:
            axis.set_axis_off()
            continue
        for order, scores, figures in zip(known[0], known[1].T, known[2].T, strict=True):
            colour = colour_of(results, order)
            axis.plot(figures, scores, ".", color=colour, alpha=0.3, markersize=4)
            axis.plot(figures.mean(), scores.mean(), "o", color=colour, markersize=5, label=name_of("scan", order))
        axis.set_xlabel(f"mean of a^gap, a {'trained' if decay == TRAINED else decay}", fontsize=7)
        axis.grid(alpha=0.25)
    for axis in list(panels.values())[:: len(results.architectures)]:
        axis.set_ylabel("test accuracy", fontsize=7)
    handles, labels = next(iter(panels.values())).get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), fontsize=7, frameon=False)
