"""What became of every run, and where the numbers come from: the end of a study's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from harness.cells import short
from harness.noise import noise_text
from harness.provenance import is_stale
from harness.record import Record
from harness.summary import mixtures

from .words import counted

SHOWN = 40
"""Reasons that are listed one by one."""


def outcome_lines(records: Sequence[Record], *, superseded: int = 0) -> list[str]:
    """A list of outcomes, then of machine, versions, seeds, dates and kernels.

    Args:
        records: final runs. superseded: cells that are left out, because they were tuned again later.
    """
    statuses = Counter(record["status"] for record in records)
    lines = [f"- runs: {', '.join(f'{count} {status}' for status, count in statuses.items())}"]
    reasons = Counter(
        (r["status"], *(short(axis, r[axis]) for axis in ("task", "architecture", "scan")), str(r["reason"]))
        for r in records
        if r["status"] != "done"
    )
    for (status, task, architecture, order, reason), count in reasons.most_common(SHOWN):
        lines.append(f"- {counted(count, 'run')} {status}: {task}, {architecture}, {order}: {reason}")
    if len(reasons) > SHOWN:
        lines.append(f"- and {len(reasons) - SHOWN} more cells whose runs did not end as done (`harness export`)")
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
    noise = noise_text(records)
    lines += [f"- noise floor: {noise}"] if noise else []
    kernels = sorted({str(record["kernel"]) for record in records if record.get("kernel")})
    lines.append(f"- kernels: {', '.join(kernels)}")
    return lines + [f"- warning: {warning.replace('this table', 'this page')}" for warning in mixtures(records)]
