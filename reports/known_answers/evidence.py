"""What stands behind the verdicts: published beside measured, learning curves, and what picking by test would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.scores import scores_of
from harness.contracts.outcome import Status
from harness.store.record import Record

from ..figures import GREY, PALETTE, label_outside, legend_below, new_figure, panels
from ..text import span
from .card import published_text as published_text_of
from .judging import Judged
from .rules import Judgement, Verdict
from .study import Runs, cells_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {Verdict.REPRODUCED: "#009E73", Verdict.NOT_REPRODUCED: "#D55E00", Verdict.UNDERPOWERED: GREY}


def measured_text(judgement: Judgement) -> str:
    """`share 1.00 [0.55, 1.00]`: the estimate of a rule with its 90% interval; nothing where it was not run."""
    found = judgement.estimate
    return f"{judgement.measures} {span(found.mean, found.low, found.high, '.2f')}" if found.n else ""


def scores_text(judged: Judged) -> str:
    """`mamba 0.955, s4d 0.640`: the mean test accuracy of each cell that has runs."""
    means = {name: list(scores_of(records).values()) for name, records in judged.records.items()}
    return ", ".join(f"{name} {np.mean(scores):.3f}" for name, scores in means.items() if scores)


def inflation_text(judged: Judged, runs: Runs) -> str:
    """By how much the best of all runs by test is above the mean score, for the cell where that is most.

    The best of k: every final run and every trial of a rate, as if the test set had picked among them.
    """
    found: list[tuple[float, int]] = []
    for name, cell in cells_of(judged.claim).items():
        scores = list(scores_of(judged.records[name]).values())
        if scores:
            trials = [r["test_accuracy"] for r in runs.tuning(judged.claim, cell) if r.get("test_accuracy") is not None]
            found.append((max([*scores, *trials]) - float(np.mean(scores)), len(scores) + len(trials)))
    if not found:
        return ""
    most, k = max(found)
    return f"+{most:.3f} (k={k})"


def draw_verdicts(judged: Sequence[Judged]) -> Figure | None:
    """A line for each rule: what was measured, with its interval, and what it had to pass, shaded."""
    lines = [(each, rule, j) for each in judged for rule, j in zip(each.claim.rules, each.judgements, strict=True)]
    lines = [line for line in lines if line[2].estimate.n]
    if not lines:
        return None
    figure = new_figure(9.5, 0.6 + 0.3 * len(lines))
    axis = figure.subplots()
    for y, (_, rule, found) in enumerate(lines):
        low, high = _passes(rule)
        axis.barh(y, high - low, left=low, height=0.8, color="#009E73", alpha=0.12)
        estimate, colour = found.estimate, COLOURS[found.verdict]
        axis.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot(estimate.mean, y, "o", color=colour, markersize=5)
    labels = [f"{each.claim.id}\n{rule.text}" for each, rule, _ in lines]
    axis.set_yticks(range(len(lines)), labels, fontsize=6.5)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_xlim(min(-0.02, min(line[2].estimate.low for line in lines) - 0.02), 1.02)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", alpha=0.25)
    axis.set_xlabel(
        "share of seeds, mean or difference of test accuracy; shaded: where the whole interval must lie", fontsize=7.5
    )
    return figure


def _passes(rule: Any) -> tuple[float, float]:
    if rule.rule == "within":
        return rule.value - rule.margin, min(1.0, rule.value + rule.margin)
    return (rule.effect if rule.rule == "order" else rule.share), 1.0


def draw_curves(judged: Sequence[Judged]) -> Figure | None:
    """A panel for each claim, a colour for each cell, a line for each seed: validation accuracy over steps."""
    shown = [each for each in judged if any(_curves(records) for records in each.records.values())]
    if not shown:
        return None
    figure, found = panels({each.claim.id: each.claim.id for each in shown}, width=3.2, height=2.0, sharey=True)
    for each in shown:
        axis = found[each.claim.id]
        for place, (name, records) in enumerate(each.records.items()):
            colour = PALETTE[place % len(PALETTE)]
            for number_, curve in enumerate(_curves(records)):
                axis.plot(
                    curve["step"], curve["validation_accuracy"], color=colour, linewidth=0.9, alpha=0.8,
                    label=name if number_ == 0 else None,
                )  # fmt: skip
        axis.legend(fontsize=6, frameon=False, loc="best")
        axis.set_ylim(-0.02, 1.04)
    label_outside(found, x="step", y="validation accuracy")
    return figure


def _curves(records: Sequence[Record]) -> list[Mapping[str, Any]]:
    return [r["curve"] for r in records if r["status"] == Status.DONE and r.get("curve")]


def draw_rates(judged: Sequence[Judged], runs: Runs) -> Figure | None:
    """A panel for each claim whose rates were chosen: validation accuracy of the trials against the rate."""
    from ..rates import scores_by_rate

    values = {
        (each.claim.id, name): scores_by_rate(runs.tuning(each.claim, cell))
        for each in judged
        for name, cell in cells_of(each.claim).items()
    }
    values = {key: scores for key, scores in values.items() if scores}
    if not values:
        return None
    figure, found = panels({claim: claim for claim, _ in values}, width=3.2, height=2.0, sharey=True)
    for (claim, name), scores in values.items():
        found[claim].plot(list(scores), list(scores.values()), "o-", markersize=4, linewidth=1, label=name)
    for axis in found.values():
        axis.set_xscale("log")
        axis.set_ylim(-0.02, 1.04)
    label_outside(found, x="learning rate", y="validation accuracy")
    legend_below(figure)
    return figure


def published_text(judged: Judged) -> str:
    """Published numbers, with a mark where they were not read at their source."""
    marks = {"transcription": " (transcribed)", "plot": " (plot)", "memory": " (memory)"}
    return "; ".join(f"{published_text_of(p)}{marks.get(p.read, '')}" for p in judged.claim.published)
