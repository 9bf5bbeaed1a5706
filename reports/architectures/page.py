"""The page: what each architecture can do, told apart or not, at what cost; the answer on the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cells import UNTUNED, short
from harness.censored import censored_median
from harness.record import Record
from harness.summary import Row, without_rate
from harness.tables import (
    RESAMPLED_CAPTION,
    TUNED_CAPTION,
    UNTUNED_CAPTION,
    interval_text,
    rate_text,
    speed_text,
)

from .. import pareto, rates
from ..outcomes import outcome_lines
from ..scan_orders.learning import median_text
from ..scan_orders.markdown import table
from ..words import counted
from . import look, ranks, recall, summary
from .places import Place, places_of, rankings_of
from .study import NAME, PLANS


def write_page(records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str) -> list[Path]:
    """Write the page and its PNGs beside it (`<page>-<what>.png`); returns the pictures.

    Args:
        records: final and tuning runs of a store, under the standard protocol.
        timings: its timing rows.
    """
    everything = places_of(records, timings)
    places = [place for place in everything if place.is_listed] or everything
    others = [place for place in everything if place not in places]
    rankings = rankings_of(places)
    pictures: list[Path] = []

    def picture(what: str) -> Path:
        pictures.append(path.with_name(f"{path.stem}-{what}.png"))
        return pictures[-1]

    lines = ["# Which architecture?", "", *_caption(places), "", *summary.section(places, rankings)]
    leading = [ranking.leading if ranking.tells else () for ranking in rankings]
    overview = look.draw_overview(places, leading, picture("accuracy"))
    lines += [
        f"![Test accuracy by place and architecture]({overview.name})",
        "",
        "Mean test accuracy with a 95% t interval, a dot a seed; dotted: chance. Full marks: who leads.",
        "",
        "## Place by place: how well, how fast, at what cost?",
        "",
        "Test accuracy: mean over seeds with a 95% t interval. Steps: median over all seeds until validation accuracy"
        " was half-way from chance to 1, a run that never got there counts as later than any, with a distribution-free"
        " interval (below six seeds it is open above), and how many got there. Throughput counts cells and comes from a"
        " timing session of its own, all cells interleaved, one thread.",
        "",
    ]
    for place in places:
        lines += _place(place, picture(f"{place.slug}-front"))
    lines += ranks.section(places, rankings, picture("ranks"))
    lines += recall.section(places, picture("state"))
    lines += _rates(places, picture("rates"))
    for setting, found in _by_setting(others).items():
        lines += [f"## Under another setting: {setting}", "", *_caption(found), ""]
        lines += summary.section(found, rankings_of(found))
    final = [record for record in records if record["purpose"] == "final"]
    lines += ["## Outcomes and provenance", "", *outcome_lines(final)]
    lines += ["", "Made by:", "", "```", *_commands(everything, store, path.name), "```"]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [found for found in pictures if found.exists()]


def _caption(places: Sequence[Place]) -> list[str]:
    """What was compared, under which protocols, and whether rates were tuned."""
    names = look.names_of(places)
    settings = dict.fromkeys(place.setting for place in places)
    selections = dict.fromkeys(place.table[4] for place in places)
    tuned = "; ".join(TUNED_CAPTION.format(each) if each != UNTUNED else UNTUNED_CAPTION for each in selections)
    return [
        f"{counted(len(names), 'architecture')} in {counted(len(places), 'place')}; {'; '.join(settings)}; {tuned}."
    ]


def _place(place: Place, picture: Path) -> list[str]:
    """One place: the table, then accuracy against throughput."""
    star = "; " + RESAMPLED_CAPTION if place.resampled else ""
    return [
        f"### {place.name}",
        "",
        f"{short('task', place.task)}; chance {place.chance:.3f}; {place.setting}{star}.",
        "",
        table([_columns(row) for row in place.rows]),
        "",
        *pareto.section(place.rows, picture),
    ]


def _columns(row: Row) -> dict[str, str]:
    others = [f"{count} {status}" for status, count in row.outcomes.items() if status != "done"]
    facts = {"parameters": row.parameters, "state": row.get("state_size"), "FLOPs/token": row.get("flops_per_token")}
    return {
        "architecture": look.name_of(row.architecture),
        "test accuracy": "; ".join([interval_text(row.accuracy)] * bool(row.done) + others),
        "steps to half-way": median_text(
            censored_median([record.get("steps_to_threshold") for record in row.records]), row.steps
        )
        if row.done
        else "",
        "train tok/s": speed_text(row, "train_tokens_per_second"),
        "infer tok/s": speed_text(row, "forward_tokens_per_second"),
        "width": str(row.get("width") or ""),
        **{name: "" if value is None else f"{value:,.0f}" for name, value in facts.items()},
        "rate": rate_text(row),
        "kernel": row.kernel or "",
    }


def _rates(places: Sequence[Place], picture: Path) -> list[str]:
    """Score against learning rate."""
    if not any(place.tuning for place in places):
        return []
    edge = rates.edge_text([row for place in places for row in place.rows])
    return [
        "## How much does the learning rate decide?",
        "",
        f"![Score against learning rate]({look.draw_rates(places, picture).name})",
        "",
        "Validation accuracy of the tuning runs (seeds of their own, which no score uses) against the learning rate; a"
        f" ring marks the rate that was chosen.{' ' + edge if edge else ''}",
        "",
    ]


def _by_setting(places: Sequence[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.setting, []).append(place)
    return found


def _commands(places: Sequence[Place], store: str, page: str) -> list[str]:
    """The commands that make the runs and this page."""
    ran = {(row.task, row.architecture, row.scan, place.table[1]) for place in places for row in place.rows}
    seeds = min(len(row.records) for place in places for row in place.rows)
    devices = " ".join(sorted({f"--device {place.table[2]}" for place in places}))
    lines = ["# no size of the study has just these cells; see the settings above"]
    for name, make in PLANS.items():
        plan = make()
        if ran == {(cell.task, cell.architecture, cell.scan, without_rate(cell.protocol)) for cell in plan.cells}:
            size = "" if name == "default" else f" --{name}"
            number = "" if seeds == plan.seeds else f" --seeds {seeds}"
            lines = [f"python -m harness {NAME} run{size}{number} {devices} --store {store}"]
    return [*lines, f"python -m harness {NAME} report --store {store} -o {page}"]
