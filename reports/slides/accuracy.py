"""What an order does: accuracy under each with both spreads, the declared comparison, and the order-blind control."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from harness.cells import short
from harness.summary import PRIMARY, Finding, Row, findings_of
from harness.tables import markdown_table

from ..drawing import COLOURS, new_figure
from ..seeds import section as seeds_section
from ..words import joined
from .study import CONTROL

UNLEARNED = 0.05
"""Less above chance is taken for not having learned: on 120 slides a guess scatters by about as much."""

PUBLISHED = "horizontal .870 ± .024, Hilbert .893 ± .019"


def _name(row: Row) -> str:
    name = short("architecture", row.architecture)
    return f"{name} (ABMIL)" if name == CONTROL else name


def _spread(row: Row, name: str) -> str:
    values = [record[name] for record in row.records if record["status"] == "done" and record.get(name) is not None]
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


def in_short(rows: Sequence[Row]) -> list[str]:
    """What one takes away: every mixer under every order in a line, then how many declared comparisons say anything."""
    lines = []
    for name in dict.fromkeys(_name(row) for row in rows):
        means = [
            f"{row.accuracy.mean:.3f} {short('scan', row.scan)}" for row in rows if _name(row) == name and row.done
        ]
        lines.append(f"- {name}: {joined(means)}." if means else f"- {name}: no run was done.")
    findings = _declared(rows)
    told = sum(finding.comparison.corrected <= finding.comparison.level for finding in findings)
    if findings:
        lines.append(f"- {' against '.join(PRIMARY)}: a difference in {told} of {len(findings)} declared comparisons.")
    unlearned = [
        row for row in rows if not _is_control(row) and short("scan", row.scan) != "random" and _at_chance(row)
    ]
    if unlearned:
        which = joined([f"{_name(row)} along {short('scan', row.scan)} ({_at_chance(row)})" for row in unlearned])
        lines.append(f"- Folds in which nothing was learned within the budget, which makes means scatter: {which}.")
    return ["## In short", "", "Mean test accuracy:", "", *lines, ""]


def accuracy(rows: Sequence[Row]) -> list[str]:
    """The table."""
    table = {
        "mixer": [_name(row) for row in rows],
        "order": [short("scan", row.scan) for row in rows],
        "accuracy, mean ± std": [_spread(row, "test_accuracy") for row in rows],
        "95% interval of the mean": [_interval(row) for row in rows],
        "AUC": [_spread(row, "test_auc") for row in rows],
        "F1": [_spread(row, "test_f1") for row in rows],
        "folds": [str(row.done) for row in rows],
        "of them at chance": [str(_at_chance(row)) for row in rows],
    }
    return [
        "## What does an order do?",
        "",
        "Mean ± standard deviation over folds is what the field reports; it says how folds scatter and not how well the"
        " mean is known. Folds share training slides, so the interval beside it is corrected for that (Nadeau and"
        f" Bengio, 2003) and cut off at 1. At chance: less than {UNLEARNED:.2f} above it, so that nothing was learned.",
        "",
        markdown_table(table),
        "",
    ]


def _interval(row: Row) -> str:
    return f"[{max(0.0, row.accuracy.low):.3f}, {min(1.0, row.accuracy.high):.3f}]" if row.accuracy.n > 1 else ""


def _at_chance(row: Row) -> int:
    """Folds whose accuracy is about that of a guess."""
    chance = row.get("chance_accuracy") or 0.5
    scores = [record["test_accuracy"] for record in row.records if record["status"] == "done"]
    return sum(score < chance + UNLEARNED for score in scores)


def _is_control(row: Row) -> bool:
    return row.architecture.partition(":")[0] == CONTROL


def _declared(rows: Sequence[Row]) -> list[Finding]:
    """Rows against Hilbert, for every mixer that sees an order."""
    return [finding for finding in findings_of([row for row in rows if not _is_control(row)]) if finding.primary]


def primary(rows: Sequence[Row]) -> list[str]:
    """The declared comparison."""
    findings = _declared(rows)
    lines = [
        "## Is Hilbert better than rows?",
        "",
        f"Reported on slides in a talk on arXiv 2602.12499: {PUBLISHED}, mean ± std, without a test. Here,"
        f" declared before anything ran: {' against '.join(PRIMARY)}, a mixer each, paired by fold, with the corrected"
        " t test and Holm over the family.",
        "",
    ]
    lines += [f"- {finding.text}" for finding in findings] or ["Not told: no fold has both."]
    return [*lines, "", *seeds_section(findings)]


def control(rows: Sequence[Row]) -> list[str]:
    """Whether the order-blind control sees an order after all."""
    scores = [
        {record["seed"]: record["test_accuracy"] for record in row.records if record["status"] == "done"}
        for row in rows
        if _is_control(row)
    ]
    if len(scores) < 2:
        return []
    seeds = set.intersection(*(set(each) for each in scores))
    largest = max((max(each[s] for each in scores) - min(each[s] for each in scores) for s in seeds), default=0.0)
    return [
        f"The control, {CONTROL} with readout=attention (ABMIL), cannot see an order: its accuracies under"
        f" {len(scores)} orders differ by {largest:.3f} at most in any fold (more than 0 is rounding).",
        "",
    ]


def draw_accuracy(rows: Sequence[Row], path: Path) -> Path:
    """A line a mixer and order: a dot a fold, the mean with its corrected interval."""
    orders = list(dict.fromkeys(row.scan for row in rows))
    figure = new_figure(7, 0.7 + 0.24 * len(rows))
    axis = figure.subplots()
    for place, row in enumerate(rows):
        number = orders.index(row.scan)
        scores = [record["test_accuracy"] for record in row.records if record["status"] == "done"]
        axis.plot(scores, [place] * len(scores), ".", color=COLOURS[number], alpha=0.4)
        if row.accuracy.n > 1:
            axis.errorbar(
                [row.accuracy.mean], [place], xerr=[row.accuracy.half], fmt="o", color=COLOURS[number], capsize=2
            )
    axis.axvline(rows[0].get("chance_accuracy") or 0.5, color="#666666", linestyle=":", linewidth=0.9)
    axis.set_yticks(range(len(rows)), [f"{_name(row)}, {short('scan', row.scan)}" for row in rows], fontsize=7)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(max(0, axis.get_xlim()[0]), 1.01)
    axis.set_xlabel("test accuracy: folds, mean and corrected 95% interval", fontsize=8)
    axis.grid(axis="x", alpha=0.25)
    figure.savefig(path)
    return path
