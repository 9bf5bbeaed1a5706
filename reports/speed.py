"""What does a mixer cost as sequences grow, and where does one overtake another? Table and figure from one session."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.analysis.growth import Crossover, Growth, crossovers, growth_of
from harness.analysis.tables import markdown_table, terminal_table
from harness.analysis.tolerances import NOISY_SPREAD
from harness.registry.cells import display_spec

from .figures import GREY, colours_of, panels, plot_line
from .text import milliseconds, span

Session: TypeAlias = dict[str, Any]
"""What `harness.timing.speed.speed_session` returns: settings, provenance, rows."""

PERMUTATION = "permutation"
COSTS = {"forward": "forward_seconds", "training": "training_seconds", "memory": "peak_bytes"}


def costs_of(session: Session, cost: str) -> dict[str, dict[int, float]]:
    """Architecture to length to cost (seconds or bytes), in the order of the command line."""
    found: dict[str, dict[int, float]] = {}
    for row in session["rows"]:
        if row["architecture"] != PERMUTATION:
            line = found.setdefault(row["architecture"], {})
            if row["status"] == "timed" and row.get(COSTS[cost]):
                line[row["length"]] = row[COSTS[cost]]
    return found


def growths(session: Session) -> dict[str, dict[str, Growth | None]]:
    """Cost to architecture to growth exponent."""
    return {cost: {name: growth_of(line) for name, line in costs_of(session, cost).items()} for cost in COSTS}


def crossings(session: Session) -> dict[str, list[tuple[str, str, list[Crossover]]]]:
    """Cost to every pair of architectures and where they cross; overlapping quartile ranges decide nothing."""
    return {
        cost: [(a, b, crossovers(a, b, costs, _overlaps(session, cost, a, b))) for a, b in combinations(costs, 2)]
        for cost, costs in ((cost, costs_of(session, cost)) for cost in COSTS)
    }


def _overlaps(session: Session, cost: str, first: str, second: str) -> set[int]:
    """Lengths at which the quartile ranges of two architectures' samples overlap."""
    ranges: dict[tuple[str, int], tuple[float, float]] = {}
    for row in session["rows"]:
        if row.get(f"{cost}_samples"):
            low, high = np.percentile(row[f"{cost}_samples"], (25, 75))
            ranges[row["architecture"], row["length"]] = (low, high)
    lengths = {length for _, length in ranges if {(first, length), (second, length)} <= set(ranges)}
    return {
        length
        for length in lengths
        if ranges[first, length][0] <= ranges[second, length][1]
        and ranges[second, length][0] <= ranges[first, length][1]
    }


def render(session: Session, *, form: str) -> str:
    """The session as a terminal or Markdown table with growth and crossings below, as CSV, or as JSON with samples."""
    if form == "json":
        return json.dumps(_everything(session), indent=1)
    if form == "csv":
        return _csv(session["rows"])
    below = [*growth_lines(session), "", *crossing_lines(session)]
    if form == "markdown":
        below = [f"- {line.strip()}" if line.startswith("  ") else f"{line}\n" if line else line for line in below]
        return "\n\n".join(["  \n".join(caption(session)), markdown_table(columns(session)), "\n".join(below)])
    padded = {
        name: [text.rjust(max(map(len, [name, *texts]))) for text in texts] if name in RIGHT else texts
        for name, texts in columns(session).items()
    }
    return "\n".join([*caption(session), "", terminal_table(padded), "", *below])


RIGHT = {"length", "permute ms", "forward ms", "training ms", "train tok/s", "peak MiB"}


def caption(session: Session) -> list[str]:
    """What was measured, on what, and what was allowed."""
    settings = session["settings"]
    return [
        f"mixers alone, batch {settings['batch']}, width {settings['width']}, {session['dtype']}, {session['device']},"
        f" threads {session['threads']}; {session['machine']}, torch {session['torch_version']}",
        f"medians of {settings['rounds']} interleaved rounds; training: forward and backward; noisy: the quartiles are"
        f" more than {NOISY_SPREAD:.0%} of the median apart; permute: to a random route's order and back",
        f"a line ends where a training call takes over {settings['step_seconds']:g} s or adds over"
        f" {settings['memory_bytes'] / 2**30:.1f} GiB; checked against a float64 reference: whole sequences to length"
        f" {settings['check_steps']:,}, beyond a prefix, and the whole length against the same path in float64",
    ]


def columns(session: Session) -> dict[str, list[str]]:
    """Header to texts, an architecture after the other, one row per length."""
    names = list(costs_of(session, "training"))
    permutation = {row["length"]: row for row in session["rows"] if row["architecture"] == PERMUTATION}
    rows = [row for name in names for row in session["rows"] if row["architecture"] == name]
    return {
        "architecture": [display_spec("architecture", row["architecture"]) for row in rows],
        "length": [f"{row['length']:,}" for row in rows],
        "permute ms": [milliseconds(permutation[row["length"]].get("permutation_seconds")) for row in rows],
        "forward ms": [milliseconds(row.get("forward_seconds")) for row in rows],
        "training ms": [milliseconds(row.get("training_seconds")) for row in rows],
        "train tok/s": [f"{row['train_tokens_per_second']:,.0f}" if _timed(row) else "" for row in rows],
        "peak MiB": ["" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.1f}" for row in rows],
        "relative error": [_errors(row) for row in rows],
        "checked": [row["check"] or "" for row in rows],
        "kernel": [row["kernel"] or "" for row in rows],
        "note": [row["speed_note"] or "" if _timed(row) else f"{row['status']}: {row['reason']}" for row in rows],
    }


def growth_lines(session: Session) -> list[str]:
    """Exponents of time and memory, with intervals."""
    lines = ["growth: slope of log cost on log length over the longer half of the lengths, 95% interval"]
    found = growths(session)
    for name in found["training"]:
        parts = [f"{cost} {growth_text(found[cost][name])}" for cost in COSTS]
        lines.append(f"  {display_spec('architecture', name)}: {'; '.join(parts)}")
    return lines


def growth_text(growth: Growth | None) -> str:
    """`0.98 [0.95, 1.01] over 1,024 to 65,536`."""
    if growth is None:
        return "not known (fewer than three lengths)"
    exponent = span(growth.exponent, growth.low, growth.high, ".2f")
    return f"{exponent} over {growth.shortest:,} to {growth.longest:,}"


def crossing_lines(session: Session) -> list[str]:
    """From which length which architecture costs less; a pair that never crosses says so."""
    lines = [
        "crossings, interpolated in log-log; lengths at which the quartile ranges of the two overlap decide nothing"
    ]
    costs = {cost: costs_of(session, cost) for cost in COSTS}
    for cost, pairs in crossings(session).items():
        for first, second, found in pairs:
            a, b = display_spec("architecture", first), display_spec("architecture", second)
            shared = sorted(set(costs[cost][first]) & set(costs[cost][second]))
            hidden = _overlaps(session, cost, first, second)
            clear = [length for length in shared if length not in hidden]
            if found:
                text = ", ".join(
                    f"{display_spec('architecture', c.faster)} below from {c.length:,.0f} on" for c in found
                )
            elif clear:
                low = a if costs[cost][first][clear[-1]] < costs[cost][second][clear[-1]] else b
                text = f"none, {low} below from {clear[0]:,} to {clear[-1]:,}"
            elif shared:
                text = f"none above the noise from {shared[0]:,} to {shared[-1]:,}"
            else:
                text = "no length in common"
            lines.append(f"  {cost}, {a} and {b}: {text}")
    return lines


def draw(session: Session, path: Path) -> bool:
    """Log-log panels of forward time, training time and memory against length; False where nothing was timed."""
    timed = [row for row in session["rows"] if _timed(row)]
    if not timed:
        return False
    titles = {cost: "peak a training call adds (MiB)" if cost == "memory" else f"{cost} (ms)" for cost in COSTS}
    figure, axes = panels(titles, width=3.8, height=4.0)
    colours, found = colours_of(costs_of(session, "training")), growths(session)
    for cost, axis in axes.items():
        for name, colour in colours.items():
            rows = [row for row in timed if row["architecture"] == name and row.get(COSTS[cost])]
            growth = found[cost][name]
            label = display_spec("architecture", name) + (f" (L^{growth.exponent:.2f})" if growth else "")
            _line(axis, rows, cost, COSTS[cost], label, colour)
        if cost == "forward":
            rows = [row for row in session["rows"] if row["architecture"] == PERMUTATION and row["status"] == "timed"]
            _line(axis, rows, PERMUTATION, "permutation_seconds", PERMUTATION, GREY)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel("length", fontsize=8)
        # Exponents differ from panel to panel, so each has a legend, below, where it covers nothing.
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7, frameon=False)
    settings = session["settings"]
    figure.suptitle(
        f"batch {settings['batch']}, width {settings['width']}, {session['dtype']}, {session['threads']} thread(s),"
        f" {session['machine']}; medians and quartiles of {settings['rounds']} interleaved rounds",
        fontsize=8,
    )
    figure.savefig(path)
    return True


def _line(axis: Any, rows: Sequence[dict[str, Any]], cost: str, key: str, label: str, colour: str) -> None:
    scale = 2**-20 if cost == "memory" else 1e3
    x, y = [row["length"] for row in rows], np.array([row[key] for row in rows]) * scale
    low, high = y, y
    if cost != "memory" and rows:
        low, high = np.transpose([np.percentile(row[f"{cost}_samples"], (25, 75)) for row in rows]) * scale
    plot_line(axis, x, y, low, high, colour=colour, label=label)


def _everything(session: Session) -> dict[str, Any]:
    return {
        **session,
        "growth": {
            cost: {name: None if growth is None else vars(growth) for name, growth in lines.items()}
            for cost, lines in growths(session).items()
        },
        "crossings": [
            {"cost": cost, "first": first, "second": second, "at": [vars(crossing) for crossing in found]}
            for cost, pairs in crossings(session).items()
            for first, second, found in pairs
        ],
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Medians, and how many samples; the samples themselves are in JSON and in the store."""
    flat = [
        {name: value for name, value in row.items() if not name.endswith("_samples")}
        | {"samples": max((len(value) for name, value in row.items() if name.endswith("_samples")), default=0)}
        for row in rows
    ]
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().rstrip("\n")


def _timed(row: dict[str, Any]) -> bool:
    return row["status"] == "timed" and "training_seconds" in row


def _errors(row: dict[str, Any]) -> str:
    if row["relative_error"] is None:
        return ""
    return f"{row['relative_error']:.0e}/{row['gradient_relative_error']:.0e}"
