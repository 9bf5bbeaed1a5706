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

from harness.cells import short
from harness.growth import Crossover, Growth, crossovers, growth_of
from harness.tables import markdown_table, terminal_table

from .drawing import COLOURS, new_figure

Session: TypeAlias = dict[str, Any]
"""What `harness.speed.speed_session` returns: settings, provenance, rows."""

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
        " more than 15% of the median apart; permute: to a random route's order and back",
        f"a line ends where a training call takes over {settings['step_seconds']:g} s or adds over"
        f" {settings['memory_bytes'] / 2**30:.1f} GiB; checked against a float64 reference: whole sequences to length"
        f" {settings['check_steps']:,}, beyond a prefix, and the whole length against the same path in float64",
    ]


def columns(session: Session) -> dict[str, list[str]]:
    """Header to texts, an architecture after the other, a row a length."""
    names = list(costs_of(session, "training"))
    permutation = {row["length"]: row for row in session["rows"] if row["architecture"] == PERMUTATION}
    rows = [row for name in names for row in session["rows"] if row["architecture"] == name]
    return {
        "architecture": [short("architecture", row["architecture"]) for row in rows],
        "length": [f"{row['length']:,}" for row in rows],
        "permute ms": [_milliseconds(permutation[row["length"]].get("permutation_seconds")) for row in rows],
        "forward ms": [_milliseconds(row.get("forward_seconds")) for row in rows],
        "training ms": [_milliseconds(row.get("training_seconds")) for row in rows],
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
        lines.append(f"  {short('architecture', name)}: {'; '.join(parts)}")
    return lines


def growth_text(growth: Growth | None) -> str:
    """`0.98 [0.95, 1.01] over 1,024 to 65,536`."""
    if growth is None:
        return "not known (fewer than three lengths)"
    interval = f"[{growth.low:.2f}, {growth.high:.2f}]"
    return f"{growth.exponent:.2f} {interval} over {growth.shortest:,} to {growth.longest:,}"


def crossing_lines(session: Session) -> list[str]:
    """From which length which architecture costs less; a pair that never crosses says so."""
    lines = [
        "crossings, interpolated in log-log; lengths at which the quartile ranges of the two overlap decide nothing"
    ]
    costs = {cost: costs_of(session, cost) for cost in COSTS}
    for cost, pairs in crossings(session).items():
        for first, second, found in pairs:
            a, b = short("architecture", first), short("architecture", second)
            shared = sorted(set(costs[cost][first]) & set(costs[cost][second]))
            hidden = _overlaps(session, cost, first, second)
            clear = [length for length in shared if length not in hidden]
            if found:
                text = ", ".join(f"{short('architecture', c.faster)} below from {c.length:,.0f} on" for c in found)
            elif clear:
                low = a if costs[cost][first][clear[-1]] < costs[cost][second][clear[-1]] else b
                text = f"none, {low} below from {clear[0]:,} to {clear[-1]:,}"
            elif shared:
                text = f"none to be told from noise from {shared[0]:,} to {shared[-1]:,}"
            else:
                text = "no length in common"
            lines.append(f"  {cost}, {a} and {b}: {text}")
    return lines


def draw(session: Session, path: Path) -> bool:
    """Log-log panels of forward time, training time and memory against length; False where nothing was timed."""
    timed = [row for row in session["rows"] if _timed(row)]
    if not timed:
        return False
    figure = new_figure(12, 4.2)
    panels = figure.subplots(1, 3)
    names = list(costs_of(session, "training"))
    found = growths(session)
    for panel, (cost, key) in zip(panels, COSTS.items(), strict=True):
        for number, name in enumerate(names):
            rows = [row for row in timed if row["architecture"] == name and row.get(key)]
            growth = found[cost][name]
            label = short("architecture", name) + (f" (L^{growth.exponent:.2f})" if growth else "")
            _line(panel, rows, cost, key, label, COLOURS[number % len(COLOURS)])
        if cost == "forward":
            rows = [row for row in session["rows"] if row["architecture"] == PERMUTATION and row["status"] == "timed"]
            _line(panel, rows, PERMUTATION, "permutation_seconds", PERMUTATION, "#666666", dashed=True)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel("length")
        panel.set_title("peak a training call adds (MiB)" if cost == "memory" else f"{cost} (ms)", fontsize=10)
        panel.grid(alpha=0.25, which="major")
        panel.legend(fontsize=7)
    settings = session["settings"]
    figure.suptitle(
        f"batch {settings['batch']}, width {settings['width']}, {session['dtype']}, {session['threads']} thread(s),"
        f" {session['machine']}; medians and quartiles of {settings['rounds']} interleaved rounds",
        fontsize=8,
    )
    figure.savefig(path)
    return True


def _line(panel: Any, rows: Sequence[dict[str, Any]], cost: str, key: str, label: str, colour: str, dashed=False):
    scale = 2**-20 if cost == "memory" else 1e3
    x, y = [row["length"] for row in rows], np.array([row[key] for row in rows]) * scale
    panel.plot(x, y, "--" if dashed else "o-", color=colour, label=label, markersize=3.5, linewidth=1.3)
    if cost != "memory" and rows:
        low, high = np.transpose([np.percentile(row[f"{cost}_samples"], (25, 75)) for row in rows]) * scale
        panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


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


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.3g}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def _errors(row: dict[str, Any]) -> str:
    if row["relative_error"] is None:
        return ""
    return f"{row['relative_error']:.0e}/{row['gradient_relative_error']:.0e}"
