"""The page: one question for each section, the answer on the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.drawing import draw_png
from harness.analysis.tables import selection_caption
from harness.registry.cells import FINAL, display_spec
from harness.store.record import Record

from .. import ranks
from ..designs import run_command
from ..figures import draw_accuracy
from ..known_answers.strip import strip_for
from ..page import Page
from ..rates import Trials
from ..text import counted, joined
from . import learning, primary, published, speed, summary, theory, transfer
from .results import Results, results_of
from .study import NAME, PLANS, QUESTIONS
from .summary import Judged, judge


def sentences(records: Sequence[Record]) -> list[str]:
    """The answer in short, for the setting with most runs."""
    return summary.sentences_of(judge(results_of(records, [])[0]))


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and its pictures; records: final and tuning runs."""
    settings = results_of(records, timings)
    results, judged = settings[0], judge(settings[0])
    rows = [row for each in settings for row in each.rows]
    page = Page(
        path=path,
        title="Which scan order?",
        store=store,
        records=[record for record in records if record["purpose"] == FINAL],
        commands=[run_command(NAME, PLANS, rows, store), command],
        finding=summary.finding_of(judged),
        known_answers=strip_for(architectures=[row.architecture for row in rows]),
        limits=[
            _caption(results),
            summary.sureness(judged),
            "Architectures are not tested against each other; models and images are small.",
        ],
        questions=QUESTIONS,
        superseded=sum(place.superseded for each in settings for place in each.places),
    )
    page.picture = _overview(page, judged)
    page.sections = [
        *summary.section(judged),
        *_gallery(page, results),
        *primary.section(judged.effects),
        *ranks.section(page, results.places, list(judged.rankings.values())),
        *learning.section(page, results, Trials(records)),
        *theory.section(page, results, judged.predictions),
        *transfer.section(page, results),
        *speed.section(results),
        *(block for other in settings[1:] for block in _other_setting(other)),
        *published.section(),
    ]
    return page.write()


def _caption(results: Results) -> str:
    """What was compared, under which protocol, and whether rates were tuned."""
    counts = [
        f"{counted(len(names), noun)} ({joined(names)})"
        for noun, names in (
            ("order", results.names("scan")),
            ("architecture", results.names("architecture")),
            ("task", results.names("task")),
        )
    ]
    return f"{', '.join(counts)}; protocol {results.setting.text}; {selection_caption(results.setting.lr_selection)}."


def _overview(page: Page, judged: Judged) -> list[str]:
    results = judged.results
    best = {title: judged.rankings[place] for place, title in results.titles.items()}
    figure = draw_accuracy(
        {title: place.rows for place, title in results.titles.items()},
        label=lambda row: display_spec("scan", row.scan),
        colour=lambda row: results.colours[row.scan],
        full=lambda title, row: best[title].tells and row.scan in best[title].best,
        width=2.7,
        across=len(results.architectures),
    )
    return [
        *page.draw("accuracy", "Test accuracy by task, architecture and order", figure),
        "Mean test accuracy with a 95% t interval, a dot for each seed; dotted: chance. Full marks: the best set, where"
        " orders differ significantly.",
    ]


def _gallery(page: Page, results: Results) -> list[str]:
    """The routes of all orders of one route, side by side."""
    grid = next((tuple(row.get("grid")) for row in results.rows if row.get("grid")), None)
    if grid is None:
        return []
    known = {order: theory.routes_of(order, (grid[0], grid[1])) for order in results.orders}
    single = {order: routes[0] for order, routes in known.items() if routes is not None and len(routes) == 1}
    if not single:
        return []
    names = [display_spec("scan", order) for order in single]
    picture = page.place("orders")
    draw_png(np.stack(list(single.values())), (grid[0], grid[1]), picture, names=names, across=3)
    return [
        "## What do the orders look like?",
        f"![The orders on {grid[0]} x {grid[1]} cells]({picture.name})",
        "From the circle to the square, coloured by step; thin lines are jumps.",
    ]


def _other_setting(results: Results) -> list[str]:
    """Runs under another readout, budget, number format or device: the table and the main sentences."""
    judged = judge(results)
    return [
        f"## Under another setting: {results.setting.text}",
        _caption(results),
        *summary.section(judged)[1:],
        *primary.section(judged.effects)[1:],
    ]
