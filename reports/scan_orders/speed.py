"""What an order costs: throughput, the permutation apart, and several routes at equal compute."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.routing import scan_from
from harness.statistics import mean_interval
from harness.summary import PRIMARY, Row

from ..words import counted
from .markdown import signed, table
from .results import Results, name_of

BASE = PRIMARY[0]


def section(results: Results) -> list[str]:
    """Speeds, then the compute-matched comparison."""
    timed = [row for row in results.rows if row.speed.get("step_seconds")]
    lines = ["## What does an order cost?", ""]
    if not timed:
        lines += ["Not told: the store holds no timing session of these cells.", ""]
        return lines + matched(results)
    lines += [
        "From a timing session after training, all cells interleaved, one thread. Ratios are medians over tasks of"
        f" times over those of {BASE} in the same session and task; the permutation's share is that of inference as a"
        " whole. Throughput counts cells, not route steps; tasks differ in it by their number of cells and features.",
        "",
    ]
    rows = []
    for architecture in results.architectures:
        for order in results.orders:
            found = [row for row in timed if (row.architecture, row.scan) == (architecture, order)]
            if found:
                rows.append(_columns(results, found))
    notes = [row for row in timed if row.speed.get("speed_note")]
    lines += [table(rows), ""]
    if notes:
        kinds = sorted({row.speed["speed_note"] for row in notes})
        lines += [f"{counted(len(notes), 'cell')} of {len(timed)} marked: {', '.join(kinds)}.", ""]
    lines += [f"- no speed: {text}" for text in sorted({str(n) for n in _without(results)})]
    return [*lines, *matched(results)]


def _without(results: Results) -> list[Any]:
    return [row.speed["speed_note"] for row in results.rows if row.speed and not row.speed.get("step_seconds")]


def _columns(results: Results, found: list[Row]) -> dict[str, str]:
    ratios: dict[str, list[float]] = {"step_seconds": [], "forward_seconds": []}
    for row in found:
        base = results.row(row.task, row.architecture, BASE)
        if base is not None and base.speed.get("step_seconds") and base.speed["session"] == row.speed["session"]:
            for name, values in ratios.items():
                values.append(row.speed[name] / base.speed[name])
    speeds = [row.speed["train_tokens_per_second"] for row in found]
    shares = [row.speed["permutation_seconds"] / row.speed["forward_seconds"] for row in found]

    def ratio(name: str) -> str:
        return f"{statistics.median(ratios[name]):.2f}" if ratios[name] else ""

    low, high = f"{min(speeds):,.0f}", f"{max(speeds):,.0f}"
    return {
        "architecture": name_of("architecture", found[0].architecture),
        "order": name_of("scan", found[0].scan),
        "routes": str(found[0].speed.get("routes", "")),
        f"training step / {BASE}": ratio("step_seconds"),
        f"inference / {BASE}": ratio("forward_seconds"),
        "permutation, ms a batch": f"{1000 * statistics.median(r.speed['permutation_seconds'] for r in found):.2f}",
        "permutation, share of inference": f"{statistics.median(shares):.1%}",
        "train tok/s": low if low == high else f"{low} to {high}",
    }


def routes_at_once(order: str) -> int:
    """How many routes every layer computes; 1 where each layer follows one of them, or the scan is not known here."""
    try:
        scan = scan_from(order)[2]
    except UserError:
        return 1
    return 1 if scan.per_layer else len(scan.orders)


def matched(results: Results) -> list[str]:
    """K routes after steps / K against one route after all steps, by validation accuracy."""
    several = [order for order in results.orders if routes_at_once(order) > 1]
    lines = ["### Several routes at equal compute", ""]
    if not several:
        return [*lines, "Not told: no scheme of several routes has been run (`scan-orders run --full` has them).", ""]
    lines += [
        f"K routes cost K mixer calls a layer. Validation accuracy after 1/K of the steps, against {BASE} after all of"
        " them, paired by seed with a 95% t interval. Exploratory, not corrected.",
        "",
    ]
    rows = []
    for task, architecture in results.places:
        base = _curves(results.row(task, architecture, BASE))
        for order in several:
            curves = _curves(results.row(task, architecture, order))
            routes = routes_at_once(order)
            seeds = sorted(base.keys() & curves.keys())
            if not seeds:
                continue
            pairs = [(_at(curves[seed], 1 / routes), _at(base[seed], 1.0)) for seed in seeds]
            whole = [_at(curves[seed], 1.0) for seed in seeds]
            difference = mean_interval([a - b for a, b in pairs], resampled=results.resampled(task))
            rows.append(
                {
                    "task": name_of("task", task),
                    "architecture": name_of("architecture", architecture),
                    "scheme": name_of("scan", order),
                    "routes": str(routes),
                    "all steps": f"{np.mean(whole):.3f}",
                    "equal compute": f"{np.mean([a for a, _ in pairs]):.3f}",
                    BASE: f"{np.mean([b for _, b in pairs]):.3f}",
                    "difference": signed(difference),
                    "seeds": str(len(seeds)),
                }
            )
    return [*lines, table(rows) if rows else "Not told: no seed has both.", ""]


def _curves(row: Row | None) -> dict[int, dict[str, list[float]]]:
    return {} if row is None else {r["seed"]: r["curve"] for r in row.records if r["status"] == "done"}


def _at(curve: dict[str, list[float]], share: float) -> float:
    """Validation accuracy after a share of the steps, between evaluations by a straight line."""
    steps = curve["step"]
    return float(np.interp(share * steps[-1], steps, curve["validation_accuracy"]))
