"""Rows as text: a terminal table, Markdown, CSV or JSON. Nothing here computes a result."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from harness.contracts.outcome import Status
from harness.registry.cells import LrSelection, display_spec
from harness.registry.specs import parse_spec
from harness.store.dataframe import SPEED_COLUMNS

from .controls import BY_TABLE, Controls, control_line, mark_of
from .pareto import Dominance, Standing
from .ranking import Ranking, Untestable
from .statistics import Comparison, Interval, Verdict
from .summary import Finding, Row, tables_of

RESAMPLED_CAPTION = "seeds test on folds of the same images; intervals and tests are corrected for that"
AULC_CAPTION = "AULC: mean area under the learning curve, the validation accuracy averaged over training"
DIVERGED_CAPTION = "a run that diverged counts as chance"
REFERENCES = (
    ("chance", "chance_accuracy"),
    ("order-blind ceiling", "order_blind_ceiling"),
    ("position-marginal ceiling", "position_marginal_ceiling"),
    ("oracle", "oracle_accuracy"),
)


def selection_text(selection: LrSelection | None) -> str:
    """`best of 0.001 0.003 on 2 tuning seeds`, or `untuned`."""
    if selection is None:
        return "untuned"
    rates = " ".join(f"{rate:g}" for rate in selection.rates)
    return f"best of {rates} on {selection.seeds} tuning seed{'s' * (selection.seeds > 1)}"


def selection_caption(selection: LrSelection | None) -> str:
    """How learning rates were chosen, for the caption of a table."""
    if selection is None:
        return "one learning rate for all, untuned"
    return f"learning rate tuned per cell on validation: {selection_text(selection)}, which no score uses"


def caption_of(rows: Sequence[Row]) -> list[str]:
    """What stands above a table: task, protocol, how rates were chosen, rules that apply, references."""
    first, grid = rows[0], _known(rows, "grid")
    size = f": {grid[0]} x {grid[1]} cells, {_known(rows, 'classes')} classes" if grid else ""
    threads = ", 1 thread" if first.device == "cpu" else ""
    lines = [
        f"task {display_spec('task', first.task)}{size}; protocol {display_spec('protocol', first.table.protocol)};"
        f" {first.device}{threads}, {first.dtype}",
        selection_caption(first.lr_selection),
    ]
    lines += [RESAMPLED_CAPTION] * any(row.test_train_ratio for row in rows)
    lines += [DIVERGED_CAPTION] * any(row.outcomes[Status.DIVERGED] for row in rows)
    references = [f"{name} {known:.3f}" for name, key in REFERENCES if (known := _known(rows, key)) is not None]
    return [*lines, *[", ".join(references)] * bool(references), AULC_CAPTION]


def _known(rows: Sequence[Row], name: str) -> Any:
    return next((row.get(name) for row in rows if row.get(name) is not None), None)


def columns_of(rows: Sequence[Row], controls: Controls | None = None) -> dict[str, list[str]]:
    """The columns of a table of one task, header to texts; what stays below logistic regression says so."""
    threshold = _known(rows, "threshold_accuracy")
    steps = f"steps to {threshold:.2f}" if threshold else "steps to threshold"
    columns = {
        "architecture": [display_spec("architecture", row.architecture) for row in rows],
        "scan": [display_spec("scan", row.scan) for row in rows],
        "test accuracy": [accuracy_text(row) + mark_of(row, controls) for row in rows],
        steps: [steps_text(row) for row in rows],
        "AULC": [f"{row.aulc.mean:.3f}" if row.aulc.n else "" for row in rows],
        "train tok/s": [speed_text(row, "train_tokens_per_second") for row in rows],
        "infer tok/s": [speed_text(row, "forward_tokens_per_second") for row in rows],
        "params": [f"{row.parameters:,}" if row.parameters else "" for row in rows],
        "peak MiB": [f"{row.speed['peak_bytes'] / 2**20:.1f}" if "peak_bytes" in row.speed else "" for row in rows],
        "kernel": [row.kernel or "" for row in rows],
    }
    lengths = parse_spec(rows[0].protocol, axis="protocol").parameters.get("test_length", "none")
    for length in dict.fromkeys(lengths.split()) if lengths != "none" else ():
        columns[f"at length {length}"] = [interval_text(row.at_length(length)) for row in rows]
    if rows[0].lr_selection is not None:
        columns["rate"] = [rate_text(row) for row in rows]
    return columns


def cost_columns_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What mixing costs, for tables with room: operations a token, and the numbers that a recurrence carries."""
    names = {"mixing FLOP/tok": "flops_per_token", "state": "state_size"}
    return {
        header: ["" if row.get(name) is None else f"{row.get(name):,.0f}" for row in rows]
        for header, name in names.items()
        if _known(rows, name) is not None
    }


def accuracy_text(row: Row) -> str:
    """`0.823 ± 0.021 (n=5); 1 diverged`: with what became of the runs that were not done."""
    others = ", ".join(f"{count} {status}" for status, count in row.outcomes.items() if status != Status.DONE)
    others += f": {row.reason}" * (not row.done)
    parts = [interval_text(row.accuracy)] * bool(row.accuracy.n) + [others] * bool(others)
    return "; ".join(parts) + " stale" * row.stale


def rate_text(row: Row) -> str:
    """The learning rate, marked where it stands at the edge of the grid: a better one may lie beyond."""
    return "" if row.learning_rate is None else f"{row.learning_rate:g}" + " (edge)" * row.at_edge


def interval_text(interval: Interval) -> str:
    """Mean and half width of its 95% interval, and n."""
    spread = f" ± {interval.half:.3f}" if interval.n > 1 else ""
    return f"{interval.mean:.3f}{spread} (n={interval.n})"


def steps_text(row: Row) -> str:
    """Median steps to the threshold, and how many runs reached it; `>500` where half or more did not."""
    if not row.done:
        return ""
    steps = row.steps_to_threshold
    median = f"{steps.value:.0f}" if math.isfinite(steps.value) else f">{row.steps}"
    return f"{median} ({steps.reached}/{steps.n})"


def speed_text(row: Row, name: str) -> str:
    """Tokens a second, or why there is none."""
    value, note = row.speed.get(name), row.speed.get("speed_note") or ""
    return note if value is None else f"{value:,.0f}" + f" {note}" * bool(note)


def verdict_text(comparison: Comparison, *, short: bool = False) -> str:
    """What a comparison says, in words; short: without the effect that would be missed."""
    n, p = comparison.effect.n, f"p={comparison.corrected:.3g}"
    if comparison.verdict is Verdict.UNDERPOWERED:
        smallest = f" (smallest p {comparison.smallest:.3g})" if comparison.underpowered and n > 1 else ""
        return f"{comparison.verdict} at n={n}{smallest}"
    if comparison.verdict is Verdict.DIFFERENT or short:
        return f"{comparison.verdict}, {p}"
    return f"{comparison.verdict}, {p}; smaller than {comparison.detectable:.3f} would be missed"


def ranking_text(ranking: Ranking, noun: str = "order") -> str:
    """What Friedman's test says, in words; noun: what a treatment is called."""
    n, k = ranking.n, len(ranking.names)
    match ranking.reason:
        case None:
            return f"{ranking.verdict}, p={ranking.corrected:.2g}"
        case Untestable.FEW_TREATMENTS:
            return f"not testable: {k} {noun}{'s' * (k != 1)}, Friedman's test takes three"
        case Untestable.FEW_BLOCKS:
            return f"underpowered at n={n}: at least three seeds are needed"
        case Untestable.ALL_ALIKE:
            return f"not testable: all {noun}s score alike in every seed"
        case Untestable.FEW_BLOCKS_FOR_FAMILY:
            return f"underpowered at n={n}: the smallest p of {ranking.tests} tests is {ranking.smallest:.3g}"


def standing_text(standing: Standing) -> str:
    """Where a point stands; by point estimates where intervals do not say."""
    if standing.verdict is not Dominance.UNDECIDED:
        return standing.verdict
    return f"{Dominance.ON_FRONT if standing.on_front else 'behind it'} by point estimates, {standing.verdict}"


def finding_text(finding: Finding) -> str:
    """One comparison of two scans in a line."""
    effect = finding.comparison.effect
    interval = f" [{effect.low:+.3f}, {effect.high:+.3f}]" if effect.n > 1 else ""
    left_out = f", {finding.left_out} runs without a partner left out" if finding.left_out else ""
    diverged = f", {finding.diverged} diverged" if finding.diverged else ""
    return (
        f"{display_spec('architecture', finding.architecture)}: {display_spec('scan', finding.second)} minus"
        f" {display_spec('scan', finding.first)} {effect.mean:+.3f}{interval}, n={effect.n}{left_out}{diverged}:"
        f" {verdict_text(finding.comparison)}"
    )


def finding_lines(findings: Sequence[Finding], *, markdown: bool = False) -> list[str]:
    """The comparisons between scans, the declared primary family first; as Markdown lists on request."""
    lines: list[str] = []
    families = ((True, "{} against {} (declared beforehand"), (False, "other pairs of scans (exploratory"))
    tables = {finding.table for finding in findings}
    for primary, title in families:
        family = [finding for finding in findings if finding.primary is primary]
        if not family:
            continue
        names = (display_spec("scan", name) for name in (family[0].first, family[0].second))
        rule = f"; paired by seed, sign-flip test, Holm over {family[0].family}):"
        lines += [*[""] * (markdown and bool(lines)), title.format(*names) + rule, *[""] * markdown]
        for finding in family:
            task, protocol, *setting, selection = finding.table
            where = (display_spec("task", task), display_spec("protocol", protocol), *setting)
            prefix = f"{', '.join((*where, selection_text(selection)))}: " if len(tables) > 1 else ""
            lines.append(f"{'- ' if markdown else '  '}{prefix}{finding_text(finding)}")
    return lines


def markdown_table(columns: dict[str, list[str]]) -> str:
    """A GitHub table."""
    escape = [[text.replace("|", "\\|") for text in texts] for texts in columns.values()]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cells) + " |" for cells in zip(*escape, strict=True)]
    return "\n".join(lines)


RIGHT = ("train tok/s", "infer tok/s", "params", "peak MiB", "rate", "AULC")
"""Columns of numbers, which stand to the right."""


def terminal_table(columns: dict[str, list[str]], *, width: int | None = None) -> str:
    """A plain, aligned table; where it does not fit `width` columns the kernel goes below, then cells are folded."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=Box("    \n    \n -  \n" + "    \n" * 5), show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    natural = sum(2 + max(map(len, (name, *texts))) for name, texts in columns.items())
    below: list[str] = []
    if width is not None and natural > width and "kernel" in columns:
        columns = dict(columns)
        kernels = dict.fromkeys(zip(columns["architecture"], columns.pop("kernel"), strict=True))
        below = ["kernel that ran", *(f"  {architecture}: {text}" for architecture, text in kernels if text)]
    for name in columns:
        table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    text = io.StringIO()
    plain = {"color_system": None, "markup": False, "emoji": False, "highlight": False}
    Console(file=text, width=width or natural, **plain).print(table)
    return "\n".join([*(line.rstrip() for line in text.getvalue().splitlines()), *below])


def _flat(row: Row, controls: Controls) -> dict[str, Any]:
    """Raw numbers, for CSV and JSON."""

    def facts(names: str) -> dict[str, Any]:
        return {name: row.get(name) for name in names.split()}

    return {
        **facts("task architecture scan protocol device dtype"),
        "lr_selection": row.lr_selection and row.lr_selection.to_json(),
        "n": row.accuracy.n,
        **{status.replace("-", "_"): row.outcomes[status] for status in Status if status is not Status.DONE},
        "reason": row.reason,
        "test_accuracy": _number(row.accuracy.mean),
        "test_accuracy_low": _number(row.accuracy.low),
        "test_accuracy_high": _number(row.accuracy.high),
        **facts("chance_accuracy order_blind_ceiling position_marginal_ceiling oracle_accuracy threshold_accuracy"),
        "steps_to_threshold_median": _number(row.steps_to_threshold.value),
        "reached_threshold": row.steps_to_threshold.reached,
        "mean_validation_accuracy": _number(row.aulc.mean),
        **{name: row.speed.get(name) for name in SPEED_COLUMNS},
        **facts("learning_rate parameters state_size flops_per_token kernel"),
        "controls": dict(controls) or None,
        "stale": row.stale,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def render(
    rows: Sequence[Row],
    findings: Sequence[Finding],
    *,
    form: str,
    width: int | None = None,
    controls: BY_TABLE | None = None,
) -> str:
    """The whole answer to a run in one of the four formats."""
    beside = controls or {}
    flat = [_flat(row, beside.get(row.table, {})) for row in rows]
    if form == "json":
        return json.dumps({"cells": flat, "findings": [finding_text(f) for f in findings]}, indent=1)
    if form == "csv":
        flat = [row | {name: json.dumps(row[name]) for name in ("lr_selection", "controls")} for row in flat]
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        return text.getvalue().rstrip("\n")
    parts = []
    for table in tables_of(rows):
        found = beside.get(table[0].table)
        columns, captions = columns_of(table, found), [*caption_of(table), *([control_line(found)] if found else [])]
        if form == "markdown":
            parts += ["  \n".join(captions), markdown_table(columns | cost_columns_of(table))]
        else:
            parts.append("\n".join([*captions, "", terminal_table(columns, width=width)]))
    if findings:
        parts.append("\n".join(finding_lines(findings, markdown=form == "markdown")))
    return "\n\n".join(parts)
