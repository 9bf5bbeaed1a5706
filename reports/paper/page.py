"""The page: every claim, our figure, our numbers, a verdict by checks stated beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from harness.record import Record
from harness.tables import markdown_table

from .experiment import Experiment, Results, Table, verdict
from .method import DERIVATIONS

INTRODUCTION = """\
Shandirasegaran, Li, Zhang, Wang, Zhang: *A Theoretical Analysis of Mamba's Training Dynamics: Filtering Relevant
Features for Generalization in State Space Models*, ICLR 2026,
[arXiv 2602.12499](https://arxiv.org/abs/2602.12499).

Each claim is put as checks that were written down before the runs. A claim is **shown** where every check holds,
**partly** shown where some do, **not shown** where none does, and **not decided** where too little has run. A check on
a mean holds where its whole 95% t interval over trials does, a check on a trend where the 95% interval of Spearman's
correlation over trials does. Intervals are not corrected for the number of checks: read a lone one with that in mind.

Epochs are full-batch gradient steps (in population mode, steps on fresh sequences). Medians are over all trials: one
that never arrived counts as later than any that did. Beside them stand a distribution-free 95% interval, how many
arrived, and the mean over those alone, as the paper averages. What the paper does not state is ours, and is said to be
under "Setting".
"""


def write_page(
    experiments: Sequence[Experiment], records: Sequence[Record], path: Path, *, command: str, stale: int = 0
) -> list[Path]:
    """Write the page and a PNG an experiment beside it; returns the pictures."""
    results = Results(records)
    shown = [experiment for experiment in experiments if all(map(results.of, experiment.points(Results([]))))]
    missing = [experiment.id for experiment in experiments if experiment not in shown]
    checks = {experiment.id: experiment.judge(results) for experiment in shown}
    lines = ["# The paper, measured", "", INTRODUCTION, *_provenance(records, command, stale), ""]
    summary = [
        {
            "id": f"[{experiment.id}](#{experiment.id})",
            "claim": experiment.claim,
            "verdict": f"**{verdict(checks[experiment.id])}**",
            "checks that hold": f"{sum(bool(c.holds) for c in checks[experiment.id])} of {len(checks[experiment.id])}",
        }
        for experiment in shown
    ]
    lines += [_table(summary), ""]
    if missing:
        lines += [f"Not here, since not all of their points have been run: {', '.join(missing)}.", ""]
    pictures = []
    for experiment in shown:
        lines += [f"## {experiment.id}", "", f"**{experiment.title}.** {experiment.claim}", ""]
        picture = path.with_name(f"{path.stem}-{experiment.id}.png")
        if _draw(experiment, results, picture):
            pictures.append(picture)
            lines += [f"![{experiment.title}]({picture.name})", ""]
        lines += [f"Verdict: **{verdict(checks[experiment.id])}**.", ""]
        lines += [f"- {_mark(check.holds)} {check.statement} ({check.numbers})" for check in checks[experiment.id]]
        lines += ["", _table(experiment.table(results)), "", f"Setting: {experiment.setting}.", ""]
        lines += _outcomes(results, experiment)
    path.write_text("\n".join([*lines, DERIVATIONS]))
    return pictures


def _mark(holds: bool | None) -> str:
    return {True: "holds:", False: "does not hold:", None: "cannot be told yet:"}[holds]


def _table(rows: Table) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return markdown_table({name: [row.get(name, "") for row in rows] for name in names})


def _draw(experiment: Experiment, results: Results, picture: Path) -> bool:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = sum(1 for _ in results.known(experiment.points(results)))
    wide = experiment.id in WIDE
    figure = Figure(figsize=(min(12.0, 3.0 * panels) if wide else 6.4, 3.8), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    experiment.draw(results, figure)
    if not figure.axes:
        return False
    figure.savefig(picture)
    return True


WIDE = ("fig4", "regime", "robustness", "fig6", "table3")
"""Figures of several panels."""


def _outcomes(results: Results, experiment: Experiment) -> list[str]:
    """Trials that did not run to their end, and how many never converged."""
    trials = [record for p in dict.fromkeys(experiment.points(results)) for record in results.of(p)]
    missing = sum(record["status"] == "done" and record.get("steps_to_convergence") is None for record in trials)
    lines = [f"Trials: {len(trials)}; without convergence to test loss < .001 within their budget: {missing}."]
    others = [record for record in trials if record["status"] != "done"]
    if others:
        kinds = {status: sum(r["status"] == status for r in others) for status in sorted({r["status"] for r in others})}
        lines.append("Not finished: " + ", ".join(f"{count} {status}" for status, count in kinds.items()) + ".")
        lines += [f"- {reason}" for reason in sorted({str(record["reason"]) for record in others})[:5]]
    return [*lines, ""]


def _provenance(records: Sequence[Record], command: str, stale: int) -> list[str]:
    def values(name: str) -> str:
        return ", ".join(sorted({str(record.get(name)) for record in records}))

    def least(name: str) -> Any:
        return min(record[name] for record in records)

    days = sorted({str(record["started_at"])[:10] for record in records})
    seconds = sum(record.get("run_seconds") or 0 for record in records)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    lines = [
        f"Made by `{command}` on {date.today().isoformat()} from {len(records):,} runs of {when}, seeds"
        f" {least('seed')} to {max(r['seed'] for r in records)}, {seconds / 3600:.2f} core-hours in all, on"
        f" {values('machine')} ({values('device')}, one thread a run, {values('dtype')}), torch"
        f" {values('torch_version')}, numpy {values('numpy_version')}, commit {values('commit')}."
    ]
    if any(record.get("dirty") for record in records):
        lines.append("Some runs were made from a checkout with uncommitted changes.")
    if stale:
        lines.append(f"**{stale} runs are stale**: made by other source than today's; `--fresh` runs them again.")
    return lines
