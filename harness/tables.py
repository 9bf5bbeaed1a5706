"""Rows as text: a terminal table, Markdown, CSV or JSON. Nothing here computes a result."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from .cells import UNTUNED, short
from .statistics import Interval
from .summary import Finding, Row, tables_of

UNTUNED_CAPTION = "one learning rate for all, untuned"
RESAMPLED_CAPTION = "seeds test on folds of the same images; intervals and tests are corrected for that"
TUNED_CAPTION = "learning rate tuned per cell on validation: {}, which no score uses"


def caption_of(rows: Sequence[Row]) -> list[str]:
    """What stands above a table: task, protocol, references, and whether rates were tuned."""
    first = rows[0]
    grid, classes = (next((row.get(name) for row in rows if row.get(name)), None) for name in ("grid", "classes"))
    size = f": {grid[0]} x {grid[1]} cells, {classes} classes" if grid else ""
    threads = ", 1 thread" if first.device == "cpu" else ""
    lines = [
        f"task {short('task', first.task)}{size}; protocol {short('protocol', first.table[1])};"
        f" {first.device}{threads}, {first.dtype}",
        TUNED_CAPTION.format(first.selection) if _tuned(first) else UNTUNED_CAPTION,
    ]
    known = {
        name: next((row.get(key) for row in rows if row.get(key) is not None), None)
        for name, key in (
            ("chance", "chance_accuracy"),
            ("order-blind ceiling", "order_blind_ceiling"),
            ("position-marginal ceiling", "position_marginal_ceiling"),
            ("oracle", "oracle_accuracy"),
        )
    }
    if any(row.get("resampled") for row in rows):
        lines.append(RESAMPLED_CAPTION)
    references = [f"{name} {value:.3f}" for name, value in known.items() if value is not None]
    return [*lines, ", ".join(references)] if references else lines


def _tuned(row: Row) -> bool:
    return row.selection != UNTUNED


def columns_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The columns of a table of one task: header to texts."""
    threshold = next((row.get("threshold_accuracy") for row in rows if row.get("threshold_accuracy")), None)
    steps = f"steps to {threshold:.2f}" if threshold is not None else "steps to threshold"
    columns = {
        "architecture": [short("architecture", row.architecture) for row in rows],
        "scan": [short("scan", row.scan) for row in rows],
        "test accuracy": [accuracy_text(row) for row in rows],
        steps: [steps_text(row) for row in rows],
        "curve area": [f"{row.area.mean:.3f}" if row.done else "" for row in rows],
        "train tok/s": [speed_text(row, "train_tokens_per_second") for row in rows],
        "infer tok/s": [speed_text(row, "forward_tokens_per_second") for row in rows],
        "param.": [f"{row.parameters:,}" if row.parameters else "" for row in rows],
        "peak MiB": [f"{row.speed['peak_bytes'] / 2**20:.1f}" if "peak_bytes" in row.speed else "" for row in rows],
        "kernel": [row.kernel or "" for row in rows],
    }
    if _tuned(rows[0]):
        columns["rate"] = [rate_text(row) for row in rows]
    return columns


def cost_columns_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What mixing costs, for tables with room: operations a token, and the numbers that a recurrence carries."""
    columns = {}
    for header, name in (("mixing FLOP/tok", "flops_per_token"), ("state", "state_size")):
        values = [row.get(name) for row in rows]
        if any(value is not None for value in values):
            columns[header] = ["" if value is None else f"{value:,.0f}" for value in values]
    return columns


def accuracy_text(row: Row) -> str:
    """`0.823 +- 0.021 (n=5)`, with what became of the runs that have no accuracy."""
    others = [f"{count} {status}" for status, count in row.outcomes.items() if status != "done"]
    if not row.done:
        return f"{', '.join(others)}: {row.reason}"
    text = interval_text(row.accuracy)
    return f"{text}{'; ' + ', '.join(others) if others else ''}{' stale' if row.stale else ''}"


def rate_text(row: Row) -> str:
    """The chosen learning rate, marked where it stands at the edge of the grid: a better one may lie beyond."""
    if row.learning_rate is None:
        return ""
    if not _tuned(row):
        return f"{row.learning_rate:g}"
    tried = [float(word) for word in row.selection.removeprefix("best of ").partition(" on ")[0].split()]
    return f"{row.learning_rate:g}" + (" (edge)" if row.learning_rate in (min(tried), max(tried)) else "")


def interval_text(interval: Interval) -> str:
    """Mean and half width of its 95% interval, and n."""
    spread = f" ± {interval.half:.3f}" if interval.n > 1 else ""
    return f"{interval.mean:.3f}{spread} (n={interval.n})"


def steps_text(row: Row) -> str:
    """Median steps to the threshold, and how many runs reached it; `>500` where half or more did not."""
    if not row.done:
        return ""
    runs = sum(row.outcomes.values())
    median = f"{row.steps_to_threshold:.0f}" if row.steps_to_threshold is not None else f">{row.steps}"
    return f"{median} ({row.reached}/{runs})"


def speed_text(row: Row, name: str) -> str:
    """Tokens a second, or why there is none."""
    value = row.speed.get(name)
    note = row.speed.get("speed_note")
    if value is None:
        return note or ""
    return f"{value:,.0f}" + (f" {note}" if note else "")


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """The comparisons between scans, the declared primary family first."""
    lines = []
    families = (
        (True, "{} against {} (declared beforehand; paired by seed, sign-flip test, Holm over"),
        (False, "other pairs of scans (exploratory; paired by seed, sign-flip test, Holm over"),
    )
    tables = {finding.table for finding in findings}
    for primary, title in families:
        family = [finding for finding in findings if finding.primary is primary]
        if family:
            names = (short("scan", name) for name in (family[0].first, family[0].second))
            lines.append(f"{title.format(*names)} {family[0].family}):")
            for finding in family:
                task, protocol, device, dtype, selection = finding.table
                where = f"{short('task', task)}, {short('protocol', protocol)}, {device}, {dtype}, {selection}: "
                lines.append(f"  {where if len(tables) > 1 else ''}{finding.text}")
    return lines


def markdown_table(columns: dict[str, list[str]]) -> str:
    """A GitHub table."""
    escape = [[text.replace("|", "\\|") for text in texts] for texts in columns.values()]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cells) + " |" for cells in zip(*escape, strict=True)]
    return "\n".join(lines)


def terminal_table(columns: dict[str, list[str]], *, width: int | None = None) -> str:
    """A plain table; where it does not fit `width` columns the kernel, then the area goes to lines of their own."""
    columns = dict(columns)
    below: list[str] = []
    for name in ("kernel", "curve area"):
        if width is None or _table_width(columns) <= width or name not in columns:
            continue
        texts = columns.pop(name)
        pairs = dict.fromkeys(zip(columns["architecture"], texts, strict=True))
        if name == "kernel":
            below = [f"  {architecture}: {text}" for architecture, text in pairs if text]
            below.insert(0, "kernel that ran")
    widths = {name: max(len(name), *(len(text) for text in texts)) for name, texts in columns.items()}
    right = {"train tok/s", "infer tok/s", "param.", "peak MiB", "rate", "curve area"}

    def line(texts: Sequence[str]) -> str:
        cells = [
            text.rjust(widths[name]) if name in right else text.ljust(widths[name])
            for name, text in zip(columns, texts, strict=True)
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths.values())
    body = [line(texts) for texts in zip(*columns.values(), strict=True)]
    return "\n".join([line(list(columns)), rule, *body, *below])


def _table_width(columns: dict[str, list[str]]) -> int:
    return sum(max(len(name), *(len(text) for text in texts)) + 2 for name, texts in columns.items()) - 2


def flat_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A dictionary a cell, raw numbers, for CSV and JSON."""
    return [
        {
            "task": row.task,
            "architecture": row.architecture,
            "scan": row.scan,
            "protocol": row.protocol,
            "device": row.device,
            "dtype": row.dtype,
            "selection": row.selection,
            "n": row.done,
            **{status.replace("-", "_"): row.outcomes.get(status, 0) for status in STATUSES[1:]},
            "reason": row.reason,
            "test_accuracy": _number(row.accuracy.mean),
            "test_accuracy_low": _number(row.accuracy.low),
            "test_accuracy_high": _number(row.accuracy.high),
            **{
                name: row.get(name)
                for name in (
                    "chance_accuracy", "order_blind_ceiling", "position_marginal_ceiling", "oracle_accuracy",
                    "threshold_accuracy",
                )
            },
            "steps_to_threshold_median": row.steps_to_threshold,
            "reached_threshold": row.reached,
            "curve_area": _number(row.area.mean),
            **{
                name: row.speed.get(name)
                for name in (
                    "train_tokens_per_second", "forward_tokens_per_second", "step_seconds", "forward_seconds",
                    "permutation_seconds", "peak_bytes", "relative_error", "speed_note",
                )
            },
            "learning_rate": row.learning_rate,
            "parameters": row.parameters,
            **{name: row.get(name) for name in ("state_size", "flops_per_token")},
            "kernel": row.kernel,
            "stale": row.stale,
        }
        for row in rows
    ]  # fmt: skip


STATUSES = ("done", "diverged", "unsupported", "out-of-memory", "failed")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def render(rows: Sequence[Row], findings: Sequence[Finding], *, form: str, width: int | None = None) -> str:
    """The whole answer to a run in one of the four formats."""
    if form == "json":
        return json.dumps({"cells": flat_rows(rows), "findings": [f.text for f in findings]}, indent=1)
    if form == "csv":
        flat = flat_rows(rows)
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        return text.getvalue().rstrip("\n")
    parts = []
    for table in tables_of(rows):
        columns, captions = columns_of(table), caption_of(table)
        if form == "markdown":
            parts += ["  \n".join(captions), markdown_table(columns | cost_columns_of(table))]
        else:
            parts.append("\n".join([*captions, "", terminal_table(columns, width=width)]))
    if findings:
        lines = finding_lines(findings)
        parts.append("\n".join(_as_list(lines) if form == "markdown" else lines))
    return "\n\n".join(parts)


def _as_list(lines: Sequence[str]) -> list[str]:
    result: list[str] = []
    for line in lines:
        item = line.startswith("  ")
        if result and item != result[-1].startswith("- "):
            result.append("")
        result.append(f"- {line.strip()}" if item else line)
    return result
