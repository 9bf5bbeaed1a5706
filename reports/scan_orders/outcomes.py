"""What became of every run, where the numbers come from, and how to make them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from harness.provenance import is_stale
from harness.record import Record
from harness.summary import mixtures

from ..words import counted
from .results import Results, bare, name_of
from .study import PLANS

SHOWN = 40
"""Reasons that are listed one by one."""


def section(results: Sequence[Results], records: Sequence[Record], *, store: str, page: str) -> list[str]:
    """Outcomes, provenance, commands. records: final runs."""
    statuses = Counter(record["status"] for record in records)
    lines = ["## Outcomes and provenance", ""]
    lines.append(f"- runs: {', '.join(f'{count} {status}' for status, count in statuses.items())}")
    reasons = Counter(
        (r["status"], *(name_of(axis, r[axis]) for axis in ("task", "architecture", "scan")), str(r["reason"]))
        for r in records
        if r["status"] != "done"
    )
    for (status, task, architecture, order, reason), count in reasons.most_common(SHOWN):
        lines.append(f"- {counted(count, 'run')} {status}: {task}, {architecture}, {order}: {reason}")
    if len(reasons) > SHOWN:
        lines.append(f"- and {len(reasons) - SHOWN} more cells whose runs did not end as done (`harness export`)")
    superseded = sum(each.superseded for each in results)
    if superseded:
        lines.append(f"- {counted(superseded, 'cell')} left out: tuned again later, with another learning rate")
    stale = sum(map(is_stale, records))
    if stale:
        lines.append(
            f"- **{counted(stale, 'run')} stale**: made by other source than today's; `--fresh` runs them again"
        )
    for name in ("machine", "device", "dtype", "torch_version", "mamba_ssm_version", "numpy_version", "commit"):
        lines.append(f"- {name.replace('_', ' ')}: {', '.join(sorted({str(r.get(name)) for r in records}))}")
    days = sorted({str(record["started_at"])[:10] for record in records})
    seconds = sum(record.get("run_seconds") or 0 for record in records)
    seeds = sorted({record["seed"] for record in records})
    lines.append(
        f"- seeds: {', '.join(map(str, seeds))}; made {' to '.join(dict.fromkeys((days[0], days[-1])))}, final runs"
        f" took {seconds / 3600:.2f} core-hours; this page: {date.today().isoformat()}"
    )
    kernels = sorted({str(record["kernel"]) for record in records if record.get("kernel")})
    lines.append(f"- kernels: {', '.join(kernels)}")
    lines += [f"- warning: {warning.replace('this table', 'this page')}" for warning in mixtures(records)]
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
