"""The page: accuracy under every order with both spreads, the declared comparison, times and memory, how to go on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.cells import short
from harness.record import Record
from harness.summary import PRIMARY, Finding, Row, findings_of, rows_of
from harness.tables import markdown_table

from ..drawing import COLOURS, MARKERS, new_figure
from ..outcomes import outcome_lines
from ..seeds import section as seeds_section
from ..words import counted, joined
from .study import ARCHITECTURES, CONTROL, ORDERS, TARGET, chosen_level, medians

READING = "slides reading"
"""The cell of rows that say what reading a set of slides took."""

PUBLISHED = "horizontal .870 ± .024, Hilbert .893 ± .019"

HOW_TO = """```
python -m harness slides check FEATURES            # CLAM's folder with h5_files, or TRIDENT's; a line for each bad bag
python -m harness run --task wsi:root=FEATURES,labels=labels.csv --scan horizontal snake hilbert random --seeds 10 \\
    --arch mamba gated-ssm local-attention identity --protocol standard:readout=attention,batch_size=8,steps=2000
python -m harness report results.sqlite -o slides.md
```"""


def write_page(records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str) -> list[Path]:
    """Write the page and its PNGs beside it (`<page>-accuracy.png`, `<page>-cost.png`); returns the pictures."""
    trained = [record for record in records if record["task"].startswith("wsi:")]
    difficulty = [record for record in records if record["task"].startswith("synthetic-slides:")]
    rows = sorted(rows_of(trained, []), key=_place)
    timed = _latest_session(timings)
    pictures = []
    lines = ["# Scan orders on whole slides", "", *_caption(rows), "", *_accuracy(rows)]
    if any(row.done for row in rows):
        pictures.append(_draw_accuracy(rows, path.with_name(f"{path.stem}-accuracy.png")))
        lines += [f"![Test accuracy by mixer and order]({pictures[-1].name})", ""]
    lines += _primary(rows)
    lines += _control(rows)
    lines += _difficulty(difficulty)
    lines += _cost(timed)
    if timed:
        pictures.append(_draw_cost(timed, path.with_name(f"{path.stem}-cost.png")))
        lines += [f"![Time and memory a slide against tiles]({pictures[-1].name})", ""]
    lines += _reading([row for row in timings if row["cell"] == READING])
    lines += [
        "## Slides of your own",
        "",
        "Features of CAMELYON16 or TCGA as CLAM or TRIDENT extract them, with a labels.csv of slide_id, patient_id and"
        " label:",
        "",
        HOW_TO,
        "",
        "Bags that cannot be used are named and stop the run; `--skip-bad` records them and goes on.",
        "",
        "## Where the numbers come from",
        "",
        "```",
        f"python -m harness slides run --store {store}",
        f"python -m harness slides report --store {store} -o {path.name}",
        "```",
        "",
        *outcome_lines([*trained, *difficulty]),
    ]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return pictures


def _place(row: Row) -> tuple[int, int]:
    known = [*ARCHITECTURES], [*ORDERS]
    names = row.architecture.partition(":")[0], row.scan.partition(":")[0]
    return tuple(axis.index(name) if name in axis else len(axis) for axis, name in zip(known, names, strict=True))  # type: ignore[return-value]


def _name(row: Row) -> str:
    name = short("architecture", row.architecture)
    return f"{name} (ABMIL)" if name == CONTROL else name


def _caption(rows: Sequence[Row]) -> list[str]:
    data = next((record["data"] for row in rows for record in row.records if record.get("data")), None)
    first = rows[0]
    text = f"Protocol {short('protocol', first.protocol)}; {first.device}, {first.dtype}; one learning rate for all,"
    text += " untuned."
    if data is None:
        return [text]
    left_out = f" {counted(len(data['left_out']), 'bad bag')} left out." if data["left_out"] else ""
    sizes = {split: len(names) for split, names in data["split"].items()}
    return [
        f"{data['slides']:,} synthetic slides with {data['tiles']:,} tiles, written to disk in CLAM's format and read"
        f" from there: tissue with holes, lesions in clusters among as many look-alikes that are dispersed."
        f" Cross-validated by patient: a seed is a fold ({sizes['train']} slides train, {sizes['validation']} validate,"
        f" {sizes['test']} test in the first); the store keeps every split.{left_out} {text}",
    ]


def _spread(row: Row, name: str) -> str:
    values = [record[name] for record in row.records if record["status"] == "done" and record.get(name) is not None]
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


def _accuracy(rows: Sequence[Row]) -> list[str]:
    table = {
        "mixer": [_name(row) for row in rows],
        "order": [short("scan", row.scan) for row in rows],
        "accuracy, mean ± std": [_spread(row, "test_accuracy") for row in rows],
        "95% interval of the mean": [_interval(row) for row in rows],
        "AUC": [_spread(row, "test_auc") for row in rows],
        "F1": [_spread(row, "test_f1") for row in rows],
        "folds": [str(row.done) for row in rows],
    }
    return [
        "## What does an order do?",
        "",
        "Mean ± standard deviation over folds is what the field reports; it says how folds scatter and not how well the"
        " mean is known. Folds share training slides, so the interval beside it is corrected for that (Nadeau and"
        " Bengio, 2003).",
        "",
        markdown_table(table),
        "",
    ]


def _interval(row: Row) -> str:
    return f"[{row.accuracy.low:.3f}, {row.accuracy.high:.3f}]" if row.accuracy.n > 1 else ""


def _primary(rows: Sequence[Row]) -> list[str]:
    """Rows against Hilbert, for every mixer that sees an order."""
    seeing = [row for row in rows if not row.architecture.startswith(CONTROL)]
    findings: list[Finding] = [finding for finding in findings_of(seeing) if finding.primary]
    lines = [
        "## Is Hilbert better than rows?",
        "",
        f"Reported on slides elsewhere: {PUBLISHED}, mean ± std, without a test. Here, declared before anything ran:"
        f" {' against '.join(PRIMARY)}, a mixer each, paired by fold, with the corrected t test and Holm over the"
        " family.",
        "",
    ]
    lines += [f"- {finding.text}" for finding in findings] or ["Not told: no fold has both."]
    return [*lines, "", *seeds_section(findings)]


def _control(rows: Sequence[Row]) -> list[str]:
    """Whether the order-blind control sees an order after all."""
    scores = [
        {record["seed"]: record["test_accuracy"] for record in row.records if record["status"] == "done"}
        for row in rows
        if row.architecture.startswith(CONTROL)
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


def _difficulty(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    found, level = medians(records), chosen_level(records)
    mixers = list(dict.fromkeys(record["architecture"] for record in records))
    table = {"noise": [f"**{noise:g}**" if noise == level else f"{noise:g}" for noise in found]}
    for mixer in mixers:
        scores = [
            [
                record["test_accuracy"]
                for record in records
                if record["architecture"] == mixer and f"noise={noise:g}" in record["task"].split(",")
                and record["status"] == "done"
            ]
            for noise in found
        ]  # fmt: skip
        table[short("architecture", mixer)] = [f"{statistics.fmean(each):.3f}" if each else "none" for each in scores]
    table["median"] = [f"{median:.3f}" for median in found.values()]
    at_level = [record for record in records if f"noise={level:g}" in record["task"].split(",")]
    ceilings = {
        name: next((record[key] for record in at_level if record.get(key) is not None), None)
        for name, key in (
            ("order-blind ceiling", "order_blind_ceiling"),
            ("position-marginal ceiling", "position_marginal_ceiling"),
            ("oracle", "oracle_accuracy"),
        )
    }
    known = [f"{name} {value:.3f}" for name, value in ceilings.items() if value is not None]
    seeds = sorted({record["seed"] for record in records})
    outside = min(abs(median - TARGET) for median in found.values()) > 0.2
    return [
        "## How was the difficulty chosen?",
        "",
        "By a rule, before any two orders were compared: along rows alone, on slides of their own, the noise at which"
        f" the median of the mixers that see an order stands nearest to {TARGET}, half-way between chance and 1. Test"
        f" accuracy of seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}:",
        "",
        markdown_table(table),
        "",
        *(["**No level is near the middle: what follows stands at the floor or the ceiling.**", ""] if outside else []),
        f"At noise={level:g}: chance 0.500, {', '.join(known)}.",
        "",
    ]


def _latest_session(timings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [row for row in timings if str(row.get("task", "")).startswith("synthetic-slides:")]
    return [row for row in rows if row["session"] == rows[-1]["session"]] if rows else []


def _cost(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    order = short("scan", rows[0]["scan"])
    table = {
        "tiles": [f"{row['length']:,}" for row in rows],
        "mixer": [short("architecture", row["architecture"]) for row in rows],
        "order and permutation, ms": [_milliseconds(row, "permutation") for row in rows],
        "inference, ms": [_milliseconds(row, "forward") for row in rows],
        "training step, ms": [_milliseconds(row, "step") for row in rows],
        "peak a training step adds, MiB": [f"{row['peak_bytes'] / 2**20:,.1f}" for row in rows],
        "note": [row.get("speed_note") or "" for row in rows],
    }
    return [
        "## Time and memory a slide",
        "",
        f"One slide at a time along {order}, one thread, all interleaved, medians of {len(rows[0]['step_samples'])}"
        " rounds; the first column makes the slide's route and brings its tiles into that order and back. Reading from"
        " disk is apart, below.",
        "",
        markdown_table(table),
        "",
    ]


def _milliseconds(row: dict[str, Any], phase: str) -> str:
    seconds = row.get(f"{phase}_seconds")
    return "" if seconds is None else f"{seconds * 1e3:,.3g}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def _reading(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    row, mebibyte = rows[-1], 2**20
    first, most = (f"{row[name] / mebibyte:,.0f} MiB" for name in ("first_bytes", "peak_bytes"))
    return [
        "## Does memory stay bounded?",
        "",
        f"A pass over {counted(row['slides'], 'slide')} in TRIDENT's format ({row['tiles']:,} tiles,"
        f" {row['file_bytes'] / mebibyte:,.0f} MiB on disk) took {row['seconds']:.1f} s in a process that may keep"
        f" {row['kept_bytes'] / mebibyte:.0f} MiB of features; a slide has"
        f" {row['a_slide_bytes'] / mebibyte:.1f} MiB. After a tenth of the slides it had needed {first} at most, after"
        f" all of them {most}.",
        "",
    ]


def _draw_accuracy(rows: Sequence[Row], path: Path) -> Path:
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


def _draw_cost(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Training step, inference and memory against tiles."""
    figure = new_figure(10, 3.4)
    panels = figure.subplots(1, 3)
    costs = (("training step (ms)", "step_seconds", 1e3), ("inference (ms)", "forward_seconds", 1e3))
    for axis, (title, key, scale) in zip(
        panels, (*costs, ("peak a step adds (MiB)", "peak_bytes", 2**-20)), strict=True
    ):
        for number, name in enumerate(dict.fromkeys(row["architecture"] for row in rows)):
            line = [(row["length"], row[key]) for row in rows if row["architecture"] == name and row.get(key)]
            tiles, values = np.array(line).reshape(-1, 2).T
            label = short("architecture", name)
            axis.plot(tiles, values * scale, marker=MARKERS[number], color=COLOURS[number], label=label, markersize=4)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("tiles")
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.25)
    panels[0].legend(fontsize=7)
    figure.suptitle(joined([str(rows[0]["machine"]), f"torch {rows[0]['torch_version']}"]), fontsize=8)
    figure.savefig(path)
    return path
