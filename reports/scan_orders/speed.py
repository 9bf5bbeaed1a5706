"""What an order costs: throughput, the permutation apart, and several routes at equal compute."""

from __future__ import annotations

import statistics

import numpy as np

from harness.analysis.statistics import mean_interval
from harness.analysis.summary import PRIMARY, Row
from harness.contracts.errors import UserError
from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.registry.routing import scan_from

from ..text import bullets, counted, signed, table
from .results import Results

BASE = PRIMARY[0]


def section(results: Results) -> list[str]:
    """Speeds, then the compute-matched comparison."""
    timed = [row for row in results.rows if row.speed.get("step_seconds")]
    lines = ["## What does an order cost?"]
    if not timed:
        lines += ["Not known: the store holds no timing session of these cells."]
        return lines + matched(results)
    lines += [
        "From a timing session after training, all cells interleaved, one thread. Ratios are medians over tasks of"
        f" times over those of {BASE} in the same session and task; the permutation's share is that of inference as a"
        " whole. Throughput counts cells, not route steps; tasks differ in it by their number of cells and features.",
    ]
    rows = []
    for architecture in results.architectures:
        for order in results.orders:
            found = [row for row in timed if (row.architecture, row.scan) == (architecture, order)]
            if found:
                rows.append(_columns(results, found))
    notes = [row for row in timed if row.speed.get("speed_note")]
    lines += [table(rows)]
    if notes:
        kinds = sorted({row.speed["speed_note"] for row in notes})
        lines += [f"{counted(len(notes), 'cell')} of {len(timed)} marked: {', '.join(kinds)}."]
    without = {str(row.speed["speed_note"]) for row in results.rows if row.speed and not row.speed.get("step_seconds")}
    return [*lines, bullets(f"no speed: {text}" for text in sorted(without)), *matched(results)]


def _columns(results: Results, found: list[Row]) -> dict[str, str]:
    ratios: dict[str, list[float]] = {"step_seconds": [], "forward_seconds": []}
    for row in found:
        place = results.place(row.task, row.architecture)
        base = place.row(BASE) if place else None
        if base is not None and base.speed.get("step_seconds") and base.speed["session"] == row.speed["session"]:
            for name, values in ratios.items():
                values.append(row.speed[name] / base.speed[name])
    speeds = [row.speed["train_tokens_per_second"] for row in found]
    shares = [row.speed["permutation_seconds"] / row.speed["forward_seconds"] for row in found]

    def ratio(name: str) -> str:
        return f"{statistics.median(ratios[name]):.2f}" if ratios[name] else ""

    low, high = f"{min(speeds):,.0f}", f"{max(speeds):,.0f}"
    return {
        "architecture": display_spec("architecture", found[0].architecture),
        "order": display_spec("scan", found[0].scan),
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
    lines = ["### Several routes at equal compute"]
    if not several:
        return [*lines, "Not known: no scheme of several routes has been run (`scan-orders run --full` has them)."]
    lines += [
        f"K routes cost K mixer calls a layer. Validation accuracy after 1/K of the steps, against {BASE} after all of"
        " them, paired by seed with a 95% t interval. Exploratory, not corrected.",
    ]
    rows = []
    for place in results.places:
        base = _curves(place.row(BASE))
        for order in several:
            curves = _curves(place.row(order))
            routes = routes_at_once(order)
            seeds = sorted(base.keys() & curves.keys())
            if not seeds:
                continue
            pairs = [(_at(curves[seed], 1 / routes), _at(base[seed], 1.0)) for seed in seeds]
            whole = [_at(curves[seed], 1.0) for seed in seeds]
            difference = mean_interval([a - b for a, b in pairs], test_train_ratio=place.test_train_ratio)
            rows.append(
                {
                    **place.heading,
                    "scheme": display_spec("scan", order),
                    "routes": str(routes),
                    "all steps": f"{np.mean(whole):.3f}",
                    "equal compute": f"{np.mean([a for a, _ in pairs]):.3f}",
                    BASE: f"{np.mean([b for _, b in pairs]):.3f}",
                    "difference": signed(difference),
                    "seeds": str(len(seeds)),
                }
            )
    return [*lines, table(rows) if rows else "Not known: no seed has both."]


def _curves(row: Row | None) -> dict[int, dict[str, list[float]]]:
    """By seed; a run that diverged stands at chance all along."""
    if row is None:
        return {}
    flat = {"step": [0, 1], "validation_accuracy": [row.chance] * 2}
    return {
        r["seed"]: r["curve"] if r["status"] == Status.DONE else flat for r in row.records if r["seed"] in row.scores
    }


def _at(curve: dict[str, list[float]], share: float) -> float:
    """Validation accuracy after a share of the steps, between evaluations by a straight line."""
    steps = curve["step"]
    return float(np.interp(share * steps[-1], steps, curve["validation_accuracy"]))
