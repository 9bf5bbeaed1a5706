"""Time and memory of a slide against its tiles, and of reading a set of slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.registry.cells import display_spec

from ..figures import MARKERS, colours_of, legend_below, panels
from ..page import Page
from ..text import counted, joined, milliseconds, table
from .study import SLIDES_TASK

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def latest_session(timings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the single slides that were timed."""
    rows = [row for row in timings if str(row.get("task", "")).startswith(f"{SLIDES_TASK}:")]
    return [row for row in rows if row["session"] == rows[-1]["session"]] if rows else []


def cost(page: Page, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Times and memory."""
    if not rows:
        return []
    cells = [
        {
            "tiles": f"{row['length']:,}",
            "mixer": display_spec("architecture", row["architecture"]),
            "order and permutation, ms": milliseconds(row.get("permutation_seconds")),
            "inference, ms": milliseconds(row.get("forward_seconds")),
            "training step, ms": milliseconds(row.get("step_seconds")),
            "peak a training step adds, MiB": f"{row['peak_bytes'] / 2**20:,.1f}",
            "note": row.get("speed_note") or "",
        }
        for row in rows
    ]
    return [
        "## Time and memory a slide",
        f"One slide at a time along {display_spec('scan', rows[0]['scan'])}, one thread, all interleaved, medians of"
        f" {len(rows[0]['step_samples'])} rounds; the first column makes the slide's route and brings its tiles into"
        " that order and back. Reading from disk is apart, below.",
        table(cells),
        *page.draw("cost", "Time and memory a slide against tiles", draw_cost(rows)),
    ]


def reading(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What a pass over more slides than fit took."""
    if not rows:
        return []
    row, mebibyte = rows[-1], 2**20
    first, most = (f"{row[name] / mebibyte:,.0f} MiB" for name in ("first_bytes", "peak_bytes"))
    return [
        "## Does memory stay bounded?",
        f"A pass over {counted(row['slides'], 'slide')} in TRIDENT's format ({row['tiles']:,} tiles,"
        f" {row['file_bytes'] / mebibyte:,.0f} MiB on disk) took {row['seconds']:.1f} s in a process that may keep"
        f" {row['kept_bytes'] / mebibyte:.0f} MiB of features; a slide has"
        f" {row['a_slide_bytes'] / mebibyte:.1f} MiB. After a tenth of the slides it had needed {first} at most, after"
        f" all of them {most}.",
    ]


COSTS = {
    "step_seconds": ("training step (ms)", 1e3),
    "forward_seconds": ("inference (ms)", 1e3),
    "peak_bytes": ("peak a step adds (MiB)", 2**-20),
}


def draw_cost(rows: Sequence[dict[str, Any]]) -> Figure:
    """Training step, inference and memory against tiles."""
    figure, found = panels({key: title for key, (title, _) in COSTS.items()}, width=3.3, height=3.0)
    colours = colours_of(row["architecture"] for row in rows)
    for key, axis in found.items():
        for (name, colour), marker in zip(colours.items(), MARKERS, strict=False):
            line = [(row["length"], row[key]) for row in rows if row["architecture"] == name and row.get(key)]
            axis.plot(
                [tiles for tiles, _ in line], [value * COSTS[key][1] for _, value in line], marker=marker,
                color=colour, label=display_spec("architecture", name), markersize=4,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("tiles", fontsize=8)
    legend_below(figure)
    figure.suptitle(joined([str(rows[0]["machine"]), f"torch {rows[0]['torch_version']}"]), fontsize=8)
    return figure
