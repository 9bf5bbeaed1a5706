"""Time and memory of a slide against its tiles, and of reading a set of slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.cells import short
from harness.tables import markdown_table

from ..drawing import COLOURS, MARKERS, new_figure
from ..words import counted, joined
from .study import SLIDES_TASK

READING = "slides reading"
"""The cell of rows that say what reading a set of slides took."""


def latest_session(timings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the single slides that were timed."""
    rows = [row for row in timings if str(row.get("task", "")).startswith(f"{SLIDES_TASK}:")]
    return [row for row in rows if row["session"] == rows[-1]["session"]] if rows else []


def cost(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table of times and memory."""
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


def reading(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What a pass over more slides than fit took."""
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


def draw_cost(rows: Sequence[dict[str, Any]], path: Path) -> Path:
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
