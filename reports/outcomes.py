"""What became of every run, and where the numbers come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.reproducibility import noise_text
from harness.analysis.summary import mixtures
from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.store.provenance import is_stale
from harness.store.record import Record

from .text import counted

SHOWN = 40
"""Reasons that are listed one by one."""

VERSIONS = (
    "machine", "device", "dtype", "torch_version", "mamba_ssm_version", "numpy_version", "python_version", "commit",
)  # fmt: skip


def outcome_texts(records: Sequence[Record], *, superseded: int = 0) -> list[str]:
    """What became of the runs, then machine, versions, seeds, dates and kernels.

    Args:
        records: final runs. superseded: cells that are left out, because they were tuned again later.
    """
    statuses = Counter(record["status"] for record in records)
    lines = [f"runs: {', '.join(f'{count} {status}' for status, count in statuses.items())}"]
    reasons = Counter(
        (r["status"], *(display_spec(axis, r[axis]) for axis in ("task", "architecture", "scan")), str(r["reason"]))
        for r in records
        if r["status"] != Status.DONE
    )
    for (status, task, architecture, order, reason), count in reasons.most_common(SHOWN):
        lines.append(f"{counted(count, 'run')} {status}: {task}, {architecture}, {order}: {reason}")
    if len(reasons) > SHOWN:
        lines.append(f"and {len(reasons) - SHOWN} more cells whose runs did not end as done (`harness export`)")
    if superseded:
        lines.append(f"{counted(superseded, 'cell')} left out: tuned again later, with another learning rate")
    stale = sum(map(is_stale, records))
    if stale:
        lines.append(
            f"**{counted(stale, 'run')} stale**: made by other source than today's; `--overwrite` runs them again"
        )
    for name in VERSIONS:
        lines.append(f"{name.replace('_', ' ')}: {', '.join(sorted({str(r.get(name)) for r in records}))}")
    seconds = sum(record.get("run_seconds") or 0 for record in records)
    seeds = sorted({record["seed"] for record in records})
    lines.append(f"seeds: {seeds_text(seeds)}; made {days_text(records)}, {seconds / 3600:.2f} core-hours")
    together = Counter((record.get("replicas") or 1, bool(record.get("cuda_graph"))) for record in records)
    for (replicas, graph), count in together.items():
        if replicas > 1 or graph:
            how = f"{replicas} seeds trained together" + (", the step replayed as a CUDA graph" if graph else "")
            lines.append(f"{counted(count, 'run')}: {how}")
    notes = Counter(record["training_note"] for record in records if record.get("training_note"))
    lines += [
        f"{counted(count, 'run')} trained alone although asked otherwise: {note}" for note, count in notes.items()
    ]
    noise = noise_text(records)
    lines += [f"noise floor: {noise}"] if noise else []
    lines.append(f"kernels: {', '.join(sorted({str(r['kernel']) for r in records if r.get('kernel')}))}")
    lines += [f"warning: {warning}" for warning in mixtures(records)]
    return [*lines, "any run again: `python -m harness rerun KEY --store STORE` (keys: `python -m harness export`)"]


def seeds_text(seeds: Sequence[int]) -> str:
    """`0 to 9`, or one by one where some are missing between."""
    whole = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def days_text(records: Sequence[Record]) -> str:
    """`2026-01-01 to 2026-01-03`: when the runs began."""
    days = sorted({str(record["started_at"])[:10] for record in records})
    return " to ".join(dict.fromkeys((days[0], days[-1])))
