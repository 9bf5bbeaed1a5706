"""Which architecture under which scan order learns, generalizes and runs faster: tables and figures from records.

Knows records only: what it shows can be made again from the store, on any machine.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.summary import PRIMARY, Finding, Row, findings_of, rows_of, tables_of
from harness.analysis.tables import caption_of, columns_of, cost_columns_of, finding_lines, markdown_table
from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.store.record import Record

from . import pareto, rates, seeds
from .figures import GREY, colours_of, draw_accuracy, label_outside, legend_below, panels, plot_line
from .page import Page
from .text import interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CEILINGS = {"order_blind_ceiling": "order-blind ceiling", "position_marginal_ceiling": "position-marginal ceiling"}


def write_report(
    records: Sequence[Record],
    timings: Sequence[dict[str, Any]],
    path: Path,
    *,
    store: str,
    primary: tuple[str, str] = PRIMARY,
    tuning: Sequence[Record] = (),
) -> list[Path]:
    """Write a Markdown page and its PNG figures (`<page>-<n>-accuracy.png`, `-curves`, `-speed`, `-rates`).

    Args:
        records: final runs. tuning: tuning runs, for score against learning rate.

    Returns:
        the figures' paths.
    """
    rows = rows_of(records, timings)
    tables, findings, trials = tables_of(rows), findings_of(rows, primary), rates.Trials(tuning)
    page = Page(
        path=path,
        title="Scan orders and architectures",
        store=store,
        records=records,
        commands=[*map(_command, tables), f"python -m harness report {store} -o {path.name}"],
        finding=_finding(rows, findings),
        limits=[
            "; ".join(caption_of(tables[0])[1:]) + ".",
            "Only the declared pair of scans is a confirmatory test; architectures are not tested against each other.",
            "A run that diverged counts as chance; runs without a score are counted in the tables.",
        ],
    )
    page.picture = _accuracy(page, 1, tables[0])
    for number, group in enumerate(tables, start=1):
        local = [finding for finding in findings if finding.table == group[0].table]
        page.sections = [*page.sections, *_section(page, number, group, local, trials)]
    return page.write()


def _finding(rows: Sequence[Row], findings: Sequence[Finding]) -> str:
    """The declared comparison of the largest effect; without one, the highest mean."""
    declared = [finding for finding in findings if finding.primary]
    if declared:
        return seeds.largest_text(declared)
    done = [row for row in rows if row.scores]
    if not done:
        return "No run here came to its end."
    best = max(done, key=lambda row: row.accuracy.mean)
    names = ", ".join(display_spec(axis, getattr(best, axis)) for axis in ("architecture", "scan", "task"))
    return f"Highest mean test accuracy, not tested: {names}, {interval_text(best.accuracy)}."


def _section(
    page: Page, number: int, group: Sequence[Row], findings: Sequence[Finding], trials: rates.Trials
) -> list[str]:
    lines = [
        f"## {number}. {display_spec('task', group[0].task)}",
        "  \n".join(caption_of(group)),
        markdown_table(columns_of(group) | cost_columns_of(group)),
        "Test accuracy: mean over seeds with a 95% t interval. Steps: median over seeds, and how many reached it"
        " (`>` where half did not within the budget). Throughput counts cells, not route steps.",
    ]
    lines += _accuracy(page, number, group) if number > 1 else []  # the first one opens the page
    curves = "Validation accuracy over training, from the worst to the best seed"
    lines += page.draw(f"{number}-curves", curves, _draw_curves(group))
    lines += pareto.section(page, f"{number}-speed", group)
    lines += rates.section(
        page, f"{number}-rates", group, trials, panel=lambda row: display_spec("scan", row.scan),
        line=lambda row: display_spec("architecture", row.architecture),
    )  # fmt: skip
    return [*lines, "\n".join(finding_lines(findings, markdown=True)), *seeds.section(findings)]


def _accuracy(page: Page, number: int, group: Sequence[Row]) -> list[str]:
    colours, names = colours_of(row.scan for row in group), [row.architecture for row in group]
    figure = draw_accuracy(
        {display_spec("task", group[0].task): sorted(group, key=lambda row: names.index(row.architecture))},
        label=lambda row: f"{display_spec('architecture', row.architecture)}, {display_spec('scan', row.scan)}",
        colour=lambda row: colours[row.scan],
        references=CEILINGS,
        width=7.0,
    )
    return page.draw(f"{number}-accuracy", "Test accuracy: mean, 95% t interval, a dot for each seed", figure)


def _command(rows: Sequence[Row]) -> str:
    """The command that makes these runs (or answers from a store that has them)."""
    first, selection = rows[0], rows[0].lr_selection
    seeds = sorted({record["seed"] for row in rows for record in row.records})
    words = ["python -m harness run --task", display_spec("task", first.task)]
    for axis, flag in (("scan", "--scan"), ("architecture", "--arch")):
        words += [flag, *dict.fromkeys(display_spec(axis, getattr(row, axis)) for row in rows)]
    protocol = first.protocol
    if selection:  # the grid was laid around the protocol's own rate, the middle one
        protocol = f"{first.table.protocol},learning_rate={sorted(selection.rates)[len(selection.rates) // 2]}"
    protocol = display_spec("protocol", protocol)
    if protocol != "standard":
        words += ["--protocol", protocol]
    words += ["--seeds", str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds))]
    words += ["--tune"] * bool(selection) + (["--dtype", first.dtype] if first.dtype != "float32" else [])
    words += ["--device", first.device]
    return textwrap.fill(
        " ".join(words), 110, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    ).replace("\n", " \\\n")


def _draw_curves(rows: Sequence[Row]) -> Figure | None:
    """Mean validation accuracy over training, the band between the worst and the best seed: a panel for each scan."""
    shown = [row for row in rows if row.done]
    if not shown:
        return None
    colours = colours_of(row.architecture for row in shown)
    titles = {row.scan: display_spec("scan", row.scan) for row in shown}
    figure, found = panels(titles, width=3.2, height=2.6, sharex=True, sharey=True)
    for row in shown:
        curves = [record["curve"] for record in row.records if record["status"] == Status.DONE]
        steps = curves[0]["step"]
        # Under a protocol that watches its end points on fresh data it is test accuracy.
        name = "validation_accuracy" if "validation_accuracy" in curves[0] else "test_accuracy"
        columns = list(zip(*(curve[name] for curve in curves if curve["step"] == steps), strict=True))
        mean = [sum(column) / len(column) for column in columns]
        low, high = [min(column) for column in columns], [max(column) for column in columns]
        label, colour = display_spec("architecture", row.architecture), colours[row.architecture]
        plot_line(found[row.scan], steps, mean, low, high, colour=colour, label=label)
    for axis in found.values():
        axis.axhline(shown[0].chance, color=GREY, linestyle=":", linewidth=0.9)
    label_outside(found, x="step", y="validation accuracy")
    legend_below(figure)
    return figure
