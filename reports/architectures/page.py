"""The page: what each architecture can do, how sure that is, at what cost; the answer on the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.analysis.summary import Row
from harness.analysis.tables import RESAMPLED_CAPTION, accuracy_text, rate_text, selection_caption, speed_text
from harness.registry.cells import FINAL, display_spec
from harness.store.record import Record

from .. import pareto, ranks, rates
from ..designs import run_command
from ..figures import colours_of, draw_accuracy
from ..known_answers.strip import strip_for
from ..page import Page
from ..places import Place, places_of, rankings_of
from ..text import STEPS, counted, steps_text, table
from . import recall, summary
from .study import ARCHITECTURES, NAME, PLANS, QUESTIONS, listed


def places_listed(records: Sequence[Record], timings: Sequence[dict[str, Any]]) -> tuple[list[Place], list[Place]]:
    """The places of the default study in its order, and the others; all of them where there are none of the first."""
    known = listed()
    found = places_of(records, timings, axis="architecture", listed=ARCHITECTURES)
    identity = {place: (place.task, place.beside, place.setting.protocol) for place in found}
    first = sorted((place for place in found if identity[place] in known), key=lambda p: known.index(identity[p]))
    return first or found, [place for place in found if place not in first] if first else []


def sentences(records: Sequence[Record]) -> list[str]:
    """The answer in short."""
    places, _ = places_listed(records, [])
    return summary.sentences_of(places, rankings_of(places), rates.Trials(records))


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and its pictures; records: final and tuning runs."""
    places, others = places_listed(records, timings)
    rankings, trials = rankings_of(places), rates.Trials(records)
    page = Page(
        path=path,
        title="Which architecture?",
        store=store,
        records=[record for record in records if record["purpose"] == FINAL],
        commands=[run_command(NAME, PLANS, [row for p in [*places, *others] for row in p.rows], store), command],
        finding=summary.finding_of(places, rankings),
        known_answers=strip_for(architectures=[row.architecture for place in places for row in place.rows]),
        limits=[
            _caption(places),
            summary.sureness(places, rankings),
            "Exploratory: no pair of architectures was declared before the runs; models and data are small.",
        ],
        questions=QUESTIONS,
        superseded=sum(place.superseded for place in [*places, *others]),
    )
    page.picture = _overview(page, places, dict(zip((place.name for place in places), rankings, strict=True)))
    page.sections = [
        *summary.section(places, rankings, trials),
        "## Place by place: how well, how fast, at what cost?",
        f"{STEPS} Throughput counts cells and comes from a timing session of its own, all cells interleaved, one"
        " thread.",
        *(line for place in places for line in _place(page, place)),
        *ranks.section(page, places, rankings),
        *recall.section(page, places),
        *_rates(page, places, trials),
        *_other_settings(others, trials),
    ]
    return page.write()


def _overview(page: Page, places: Sequence[Place], rankings: dict[str, Any]) -> list[str]:
    groups = {
        place.name: sorted((row for row in place.rows if row.scores), key=lambda row: -row.accuracy.mean)
        for place in places
    }
    colours = colours_of(row.architecture for place in places for row in place.rows)
    figure = draw_accuracy(
        groups,
        label=lambda row: display_spec("architecture", row.architecture),
        colour=lambda row: colours[row.architecture],
        full=lambda name, row: rankings[name].tells and row.architecture in rankings[name].leading,
    )
    return [
        *page.draw("accuracy", "Test accuracy by place and architecture", figure),
        "Mean test accuracy with a 95% t interval, a dot for each seed; dotted: chance. Full marks: who leads.",
    ]


def _caption(places: Sequence[Place]) -> str:
    """What was compared, under which protocols, and whether rates were tuned."""
    names = {row.architecture for place in places for row in place.rows}
    settings = dict.fromkeys(place.setting.text for place in places)
    tuned = dict.fromkeys(selection_caption(place.setting.lr_selection) for place in places)
    return (
        f"{counted(len(names), 'architecture')} in {counted(len(places), 'place')}; {'; '.join(settings)};"
        f" {'; '.join(tuned)}."
    )


def _place(page: Page, place: Place) -> list[str]:
    """One place: the table, then accuracy against throughput."""
    star = "; " + RESAMPLED_CAPTION if place.test_train_ratio else ""
    return [
        f"### {place.name}",
        f"{display_spec('task', place.task)}; chance {place.chance:.3f}; {place.setting.text}{star}.",
        table([_columns(row) for row in place.rows]),
        *pareto.section(page, f"{place.slug}-front", place.rows),
    ]


def _columns(row: Row) -> dict[str, str]:
    facts = {"parameters": row.parameters, "state": row.get("state_size"), "FLOPs/token": row.get("flops_per_token")}
    return {
        "architecture": display_spec("architecture", row.architecture),
        "test accuracy": accuracy_text(row),
        "steps to half-way": steps_text(row),
        "train tok/s": speed_text(row, "train_tokens_per_second"),
        "infer tok/s": speed_text(row, "forward_tokens_per_second"),
        "width": str(row.get("width") or ""),
        **{name: "" if value is None else f"{value:,.0f}" for name, value in facts.items()},
        "rate": rate_text(row),
        "kernel": row.kernel or "",
    }


def _rates(page: Page, places: Sequence[Place], trials: rates.Trials) -> list[str]:
    """Score against learning rate: a panel for each architecture, a line for each place."""
    names = {row: place.name for place in places for row in place.rows}
    rows = [row for place in places for row in place.rows]
    found = rates.section(
        page, "rates", rows, trials, panel=lambda row: display_spec("architecture", row.architecture),
        line=lambda row: names[row], across=4,
    )  # fmt: skip
    return found and ["## How much does the learning rate decide?", *found]


def _other_settings(places: Sequence[Place], trials: rates.Trials) -> list[str]:
    lines: list[str] = []
    for setting in dict.fromkeys(place.setting for place in places):
        found = [place for place in places if place.setting == setting]
        lines += [f"## Under another setting: {setting.text}", _caption(found)]
        lines += summary.section(found, rankings_of(found), trials)[1:]
    return lines
