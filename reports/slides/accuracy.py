"""What an order does: accuracy under each with both spreads, the declared comparison, and the order-blind control."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.scores import scores_of
from harness.analysis.statistics import Verdict
from harness.analysis.summary import PRIMARY, Finding, Row, findings_of
from harness.analysis.tables import finding_text
from harness.registry.cells import display_spec

from ..figures import colours_of, draw_accuracy
from ..seeds import largest_text
from ..seeds import section as seeds_section
from ..text import bullets, joined, table
from .study import CONTROL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNLEARNED = 0.05
"""Less above chance is taken for not having learned: on 120 slides a guess scatters by about as much."""

PUBLISHED = "horizontal .870 ± .024, Hilbert .893 ± .019"


def _name(row: Row) -> str:
    name = display_spec("architecture", row.architecture)
    return f"{name} (ABMIL)" if name == CONTROL else name


def _spread(row: Row, name: str) -> str:
    values = list(scores_of(row.records, name).values())
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


def in_short(rows: Sequence[Row]) -> list[str]:
    """What one takes away: every mixer under every order in a line, then how many declared comparisons say anything."""
    lines = []
    for name in dict.fromkeys(_name(row) for row in rows):
        means = [
            f"{row.accuracy.mean:.3f} {display_spec('scan', row.scan)}"
            for row in rows
            if _name(row) == name and row.scores
        ]
        lines.append(f"{name}: {joined(means)}." if means else f"{name}: no run was done.")
    findings = declared(rows)
    if findings:
        significant = sum(finding.comparison.verdict is Verdict.DIFFERENT for finding in findings)
        pair = " against ".join(PRIMARY)
        lines.append(f"{pair}: a difference in {significant} of {len(findings)} declared comparisons.")
    unlearned = [
        row for row in rows if not _is_control(row) and display_spec("scan", row.scan) != "random" and _at_chance(row)
    ]
    if unlearned:
        which = joined(
            [f"{_name(row)} along {display_spec('scan', row.scan)} ({_at_chance(row)})" for row in unlearned]
        )
        lines.append(f"Folds in which nothing was learned within the budget, which makes means scatter: {which}.")
    return lines


def finding_of(rows: Sequence[Row]) -> str:
    """The declared comparison of the largest effect; without one, that there is none."""
    findings = declared(rows)
    return largest_text(findings) if findings else f"{' against '.join(PRIMARY)} is not known: no fold has both."


def accuracy(rows: Sequence[Row], data: list[str]) -> list[str]:
    """What the data are, and the table."""
    cells = [
        {
            "mixer": _name(row),
            "order": display_spec("scan", row.scan),
            "accuracy, mean ± std": _spread(row, "test_accuracy"),
            "95% interval of the mean": _interval(row),
            "AUC": _spread(row, "test_auc"),
            "F1": _spread(row, "test_f1"),
            "folds": str(row.accuracy.n),
            "of them at chance": str(_at_chance(row)),
        }
        for row in rows
    ]
    return [
        "## What does an order do?",
        *data,
        "Mean ± standard deviation over folds is what the field reports; it says how folds scatter and not how well the"
        " mean is known. Folds share training slides, so the interval beside it is corrected for that (Nadeau and"
        f" Bengio, 2003) and cut off at 1. At chance: less than {UNLEARNED:.2f} above it, so that nothing was learned.",
        table(cells),
    ]


def _interval(row: Row) -> str:
    return f"[{max(0.0, row.accuracy.low):.3f}, {min(1.0, row.accuracy.high):.3f}]" if row.accuracy.n > 1 else ""


def _at_chance(row: Row) -> int:
    """Folds whose accuracy is about that of a guess."""
    return sum(score < row.chance + UNLEARNED for score in row.scores.values())


def _is_control(row: Row) -> bool:
    return row.architecture.partition(":")[0] == CONTROL


def declared(rows: Sequence[Row]) -> list[Finding]:
    """Rows against Hilbert, for every mixer that sees an order."""
    return [finding for finding in findings_of([row for row in rows if not _is_control(row)]) if finding.primary]


def primary(rows: Sequence[Row]) -> list[str]:
    """The declared comparison."""
    findings = declared(rows)
    lines = [
        "## Is Hilbert better than rows?",
        f"Reported on slides in a talk on arXiv 2602.12499: {PUBLISHED}, mean ± std, without a test. Here,"
        f" declared before anything ran: {' against '.join(PRIMARY)}, one for each mixer, paired by fold, with the"
        " corrected t test and Holm over the family.",
    ]
    return [*lines, bullets(map(finding_text, findings)) or "Not known: no fold has both.", *seeds_section(findings)]


def control(rows: Sequence[Row]) -> list[str]:
    """Whether the order-blind control sees an order after all."""
    scores = [row.scores for row in rows if _is_control(row)]
    if len(scores) < 2:
        return []
    seeds = set.intersection(*(set(each) for each in scores))
    largest = max((max(each[s] for each in scores) - min(each[s] for each in scores) for s in seeds), default=0.0)
    return [
        f"The control, {CONTROL} with readout=attention (ABMIL), cannot see an order: its accuracies under"
        f" {len(scores)} orders differ by {largest:.3f} at most in any fold (more than 0 is rounding).",
    ]


def draw(rows: Sequence[Row]) -> Figure | None:
    """A line for each mixer and order: a dot for each fold, the mean with its corrected interval."""
    colours = colours_of(row.scan for row in rows)
    return draw_accuracy(
        {"folds, mean and corrected 95% interval": rows},
        label=lambda row: f"{_name(row)}, {display_spec('scan', row.scan)}",
        colour=lambda row: colours[row.scan],
        width=6.5,
    )
