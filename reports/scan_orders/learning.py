"""Where training ends, how fast it gets there, and how much the learning rate decides."""

from __future__ import annotations

from harness.analysis.summary import Row
from harness.analysis.tables import accuracy_text, rate_text
from harness.registry.cells import display_spec

from .. import rates
from ..page import Page
from ..text import STEPS, interval_text, steps_text, table
from .results import Results


def section(page: Page, results: Results, trials: rates.Trials) -> list[str]:
    """A table for each task, then scores against rates."""
    lines = ["## How well, and how fast?", f"{STEPS} AULC: mean validation accuracy over training."]
    for task in results.tasks:
        places = [place for place in results.places if place.task == task]
        lines += [f"**{places[0].heading['task']}**, chance {places[0].chance:.3f}"]
        lines += [table([_columns(row) for place in places for row in place.rows])]
    titles = {row: title for place, title in results.titles.items() for row in place.rows}
    found = rates.section(
        page, "rates", results.rows, trials, panel=lambda row: titles[row],
        line=lambda row: display_spec("scan", row.scan), across=len(results.architectures),
    )  # fmt: skip
    return [*lines, *(["## How much does the learning rate decide?"] if found else []), *found]


def _columns(row: Row) -> dict[str, str]:
    return {
        "architecture": display_spec("architecture", row.architecture),
        "order": display_spec("scan", row.scan),
        "test accuracy": accuracy_text(row),
        "steps to half-way": steps_text(row),
        "AULC": interval_text(row.aulc),
        "rate": rate_text(row),
    }
