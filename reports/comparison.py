"""Which architecture under which scan order learns, generalizes and runs faster: tables and figures from records.

Knows records only: what it shows can be made again from the store, on any machine.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from harness.cells import UNTUNED, short
from harness.noise import noise_text
from harness.record import Record
from harness.summary import PRIMARY, Row, findings_of, mixtures, rows_of, tables_of
from harness.tables import caption_of, columns_of, cost_columns_of, finding_lines, markdown_table

from . import pareto, rates, seeds
from .drawing import COLOURS, legend_beside, new_figure, panel_a_scan


def write_report(
    records: Sequence[Record],
    timings: Sequence[dict[str, Any]],
    path: Path,
    *,
    store: str,
    primary: tuple[str, str] = PRIMARY,
    tuning: Sequence[Record] = (),
) -> list[Path]:
    """Write a Markdown page and its PNG figures (`<page>-<n>-accuracy.png`, `-curves`, `-speed`, `-rates`).

    Args:
        records: final runs. tuning: tuning runs, for score against learning rate.

    Returns:
        the figures' paths.
    """
    rows = rows_of(records, timings)
    findings = findings_of(rows, primary)
    figures: list[Path] = []
    lines = ["# Scan orders and architectures", ""]
    lines += [f"From `{store}` by `python -m harness report {store} -o {path.name}`, {date.today().isoformat()}.", ""]
    for number, group in enumerate(tables_of(rows), start=1):
        lines += [f"## {number}. {short('task', group[0].task)}", ""]
        lines += ["  \n".join(caption_of(group)), ""]
        lines += [markdown_table(columns_of(group) | cost_columns_of(group)), ""]
        lines += ["Runs made by:", "", "```", _command(group), "```", ""]
        lines += [
            "Test accuracy: mean over seeds with a 95% t interval. Steps: median over seeds, and how many reached it"
            " (`>` where half did not within the budget). Throughput counts cells, not route steps.",
            "",
        ]
        for name, draw in (("accuracy", _draw_accuracy), ("curves", _draw_curves)):
            file = path.with_name(f"{path.stem}-{number}-{name}.png")
            if draw(group, file):
                figures.append(file)
                lines += [f"![{name}]({file.name})", ""]
        for name, make in (("speed", pareto.section), ("rates", partial(rates.section, tuning=tuning))):
            file = path.with_name(f"{path.stem}-{number}-{name}.png")
            found = make(group, picture=file)
            figures += [file] if found else []
            lines += found
        local = [finding for finding in findings if finding.table == group[0].table]
        for line in finding_lines(local):
            lines += [f"- {line.strip()}"] if line.startswith("  ") else ["", line, ""]
        lines += ["", *seeds.section(local)]
    lines += _provenance(records)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return figures


def _command(rows: Sequence[Row]) -> str:
    """The command that makes these runs (or answers from a store that has them)."""
    first, tuned = rows[0], rows[0].selection != UNTUNED
    architectures, scans = _names(rows)
    seeds = sorted({record["seed"] for row in rows for record in row.records})
    words = ["python -m harness run --task", short("task", first.task)]
    words += ["--scan", *(short("scan", name) for name in scans)]
    words += ["--arch", *(short("architecture", name) for name in architectures)]
    protocol = first.protocol
    if tuned:  # the grid was laid around the protocol's own rate, the middle one
        rate = first.selection.removeprefix("best of ").split()[1]
        protocol = f"{first.table[1]},learning_rate={rate}"
    protocol = short("protocol", protocol)
    if protocol != "standard":
        words += ["--protocol", protocol]
    words += ["--seeds", str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds))]
    words += ["--tune"] * tuned + (["--dtype", first.dtype] if first.dtype != "float32" else [])
    words += ["--device", first.device]
    return textwrap.fill(
        " ".join(words), 110, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    ).replace("\n", " \\\n")


def _provenance(records: Sequence[Record]) -> list[str]:
    statuses = Counter(record["status"] for record in records)
    lines = ["## Outcomes and provenance", ""]
    lines += [f"- runs: {', '.join(f'{count} {status}' for status, count in statuses.items())}"]
    for record in records:
        if record["status"] != "done":
            label = f"{short('architecture', record['architecture'])}, {short('scan', record['scan'])}"
            lines.append(f"- {record['status']}: {label}, seed {record['seed']} ({record['key']}): {record['reason']}")
    for name in ("machine", "torch_version", "mamba_ssm_version", "numpy_version", "python_version", "commit"):
        values = sorted({str(record.get(name)) for record in records})
        lines.append(f"- {name.replace('_', ' ')}: {', '.join(values)}")
    seeds = sorted({record["seed"] for record in records})
    lines.append(f"- seeds: {', '.join(map(str, seeds))}; runs made {min(r['started_at'] for r in records)[:10]}")
    together = Counter((record.get("replicas") or 1, bool(record.get("cuda_graph"))) for record in records)
    for (replicas, graph), count in together.items():
        if replicas > 1 or graph:
            how = f"{replicas} seeds trained together" + (", the step replayed as a CUDA graph" if graph else "")
            lines.append(f"- {count} runs: {how}")
    notes = Counter(record["training_note"] for record in records if record.get("training_note"))
    lines += [f"- {count} runs trained alone although asked otherwise: {note}" for note, count in notes.items()]
    noise = noise_text(records)
    lines += [f"- noise floor: {noise}"] if noise else []
    lines += [f"- warning: {warning}" for warning in mixtures(records)]
    lines.append("- any run again: `python -m harness rerun KEY --store STORE` (keys: `python -m harness export`)")
    return lines


def _names(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    return list(dict.fromkeys(row.architecture for row in rows)), list(dict.fromkeys(row.scan for row in rows))


def _draw_accuracy(rows: Sequence[Row], path: Path) -> bool:
    """Mean test accuracy with its interval, and every seed as a dot: a line an architecture, a colour a scan."""
    shown = [row for row in rows if row.done]
    if not shown:
        return False
    architectures, scans = _names(shown)
    figure = new_figure(7.5, 0.9 + 0.32 * len(architectures) * max(1.4, len(scans)) * 0.75)
    axis = figure.subplots()
    for row in shown:
        offset = (scans.index(row.scan) - (len(scans) - 1) / 2) * 0.8 / max(1, len(scans))
        y = architectures.index(row.architecture) + offset
        colour = COLOURS[scans.index(row.scan) % len(COLOURS)]
        scores = [record["test_accuracy"] for record in row.records if record["status"] == "done"]
        axis.plot(scores, [y] * len(scores), ".", color=colour, alpha=0.35, markersize=5)
        half = row.accuracy.half
        error = None if math.isnan(half) else [half]
        axis.errorbar([row.accuracy.mean], [y], xerr=error, fmt="o", color=colour, markersize=4.5, capsize=2.5)
    for index, scan in enumerate(scans):
        axis.plot([], [], "o", color=COLOURS[index % len(COLOURS)], label=short("scan", scan))
    for value, name, style in (
        (shown[0].get("chance_accuracy"), "chance", ":"),
        (shown[0].get("order_blind_ceiling"), "order-blind ceiling", "--"),
        (shown[0].get("position_marginal_ceiling"), "position-marginal ceiling", "-."),
    ):
        if value is not None:
            axis.axvline(value, color="#666666", linestyle=style, linewidth=0.9, label=name)
    axis.set_yticks(range(len(architectures)), [short("architecture", name) for name in architectures])
    axis.invert_yaxis()
    scores = [r["test_accuracy"] for row in shown for r in row.records if r["status"] == "done"]
    low = min([*scores, shown[0].get("chance_accuracy")])
    axis.set_xlim(max(-0.02, low - 0.06), 1.02)  # an interval from two seeds would dwarf everything else
    axis.set_xlabel("test accuracy (mean, 95% t interval; dots: seeds)")
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axis.grid(axis="x", alpha=0.25)
    figure.savefig(path)
    return True


def _accuracy_of(curve: dict[str, Any]) -> list[float]:
    """Validation accuracy, or test accuracy under a protocol that watches its end points on fresh data."""
    return curve["validation_accuracy"] if "validation_accuracy" in curve else curve["test_accuracy"]


def _draw_curves(rows: Sequence[Row], path: Path) -> bool:
    """Mean validation accuracy over training, the band between the worst and the best seed: a panel a scan."""
    shown = [row for row in rows if row.done]
    if not shown:
        return False
    architectures, scans = _names(shown)
    figure, panels = panel_a_scan(scans, "validation accuracy")
    for row in shown:
        curves = [record["curve"] for record in row.records if record["status"] == "done"]
        steps = curves[0]["step"]
        values = [_accuracy_of(curve) for curve in curves if curve["step"] == steps]
        columns = list(zip(*values, strict=True))
        colour = COLOURS[architectures.index(row.architecture) % len(COLOURS)]
        label, axis = short("architecture", row.architecture), panels[row.scan]
        axis.plot(steps, [sum(column) / len(column) for column in columns], color=colour, label=label, linewidth=1.4)
        low, high = [min(column) for column in columns], [max(column) for column in columns]
        axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    for axis in panels.values():
        axis.axhline(shown[0].get("chance_accuracy"), color="#666666", linestyle=":", linewidth=0.9)
        axis.set_xlabel("step")
    legend_beside(figure, list(panels.values()))
    figure.savefig(path)
    return True
