"""Where training ends, how fast it gets there, and how much the learning rate decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.censored import Median, censored_median
from harness.summary import Row
from harness.tables import interval_text, rate_text

from ..rates import edge_text, plot_rates, scores_by_rate
from .drawing import colour_of, grid_of_panels
from .markdown import table
from .results import Results, chance_of, name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(results: Results, pictures: list[str]) -> list[str]:
    """A table a task, then scores against rates."""
    lines = [
        "## How well, and how fast?",
        "",
        "Test accuracy: mean over seeds with a 95% t interval. Steps: median over all seeds until validation accuracy"
        " was half-way from chance to 1, a run that never got there counts as later than any, with a distribution-free"
        " interval (below six seeds it is open above), and how many got there. Curve area: mean validation accuracy"
        " over training.",
        "",
    ]
    for task in results.tasks:
        rows = [row for architecture in results.architectures for row in results.of(task, architecture)]
        star = "*" * bool(results.resampled(task))
        lines += [f"**{name_of('task', task)}**{star}, chance {chance_of(rows[0]):.3f}", ""]
        lines += [table([_columns(results, row) for row in rows]), ""]
    edge = edge_text(results.rows)
    if pictures:
        lines += [
            "## How much does the learning rate decide?",
            "",
            "Validation accuracy of the tuning runs (seeds of their own, which no score uses) against the learning"
            " rate; a ring marks the rate that was chosen.",
            "",
            *(f"![Score against learning rate]({picture})" for picture in pictures),
            "",
        ]
        if edge:
            lines += [edge, ""]
    return lines


def _columns(results: Results, row: Row) -> dict[str, str]:
    others = [f"{count} {status}" for status, count in row.outcomes.items() if status != "done"]
    return {
        "architecture": name_of("architecture", row.architecture),
        "order": name_of("scan", row.scan),
        "test accuracy": "; ".join([interval_text(results.accuracy(row))] * bool(row.done) + others),
        "steps to half-way": median_text(
            censored_median([record.get("steps_to_threshold") for record in row.records]), row.steps
        ),
        "curve area": interval_text(row.area).partition(" (")[0] if row.done else "",
        "rate": rate_text(row),
    }


def median_text(median: Median, budget: int | None) -> str:
    """`120 [90, 150], 10 of 10`; beyond the budget it says so."""
    beyond = f">{budget}" if budget else "never"

    def number(value: float) -> str:
        return beyond if value == float("inf") else f"{value:,.0f}"

    if not median.reached:
        return f"{beyond}, 0 of {median.n}"
    return f"{number(median.value)} [{number(median.low)}, {number(median.high)}], {median.reached} of {median.n}"


def draw_rates(results: Results, figure: Figure) -> None:
    """Mean validation accuracy of the tuning runs against the rate, a line an order."""
    panels = grid_of_panels(results, figure, width=2.4, height=1.8, sharex=True, sharey="row")
    for (task, architecture), axis in panels.items():
        for row in results.of(task, architecture):
            trials = [
                record
                for record in results.tuning
                if (record["task"], record["architecture"], record["scan"]) == (task, architecture, row.scan)
            ]
            plot_rates(
                axis,
                scores_by_rate(trials),
                row.learning_rate,
                colour=colour_of(results, row.scan),
                label=name_of("scan", row.scan),
            )
        axis.set_xscale("log")
        axis.grid(alpha=0.25)
    for axis in list(panels.values())[-len(results.architectures) :]:
        axis.set_xlabel("learning rate", fontsize=7)
    for axis in list(panels.values())[:: len(results.architectures)]:
        axis.set_ylabel("validation accuracy", fontsize=7)
    handles, labels = next(iter(panels.values())).get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), fontsize=7, frameon=False)
