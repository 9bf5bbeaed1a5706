"""What became of every run, where the numbers come from, and how to make them again."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record import Record

from ..outcomes import outcome_lines
from .results import Results, bare
from .study import PLANS


def section(results: Sequence[Results], records: Sequence[Record], *, store: str, page: str) -> list[str]:
    """Outcomes, provenance, commands. records: final runs."""
    superseded = sum(each.superseded for each in results)
    lines = ["## Outcomes and provenance", "", *outcome_lines(records, superseded=superseded)]
    return [*lines, "", "Made by:", "", "```", *commands(results[0], store, page), "```", ""]


def commands(results: Results, store: str, page: str) -> list[str]:
    """The commands that make the runs and this page."""
    ran = {(row.task, row.architecture, row.scan) for row in results.rows}
    seeds = min(len({record["seed"] for record in row.records}) for row in results.rows)
    lines = ["# no size of the study has just these cells; see the settings above"]
    for name, make in PLANS.items():
        plan = make()
        cells = [cell for cell in plan.cells if bare(cell.protocol) == results.setting.protocol]
        if ran == {(cell.task, cell.architecture, cell.scan) for cell in cells}:
            size = "" if name == "default" else f" --{name}"
            number = "" if seeds == plan.seeds else f" --seeds {seeds}"
            device = results.setting.device
            lines = [f"python -m harness scan-orders run{size}{number} --device {device} --store {store}"]
    return [*lines, f"python -m harness scan-orders report --store {store} -o {page}"]
