"""A record: what one run left behind. Begun before the run, completed by its outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

from .cells import Run
from .provenance import provenance, source_of

Record: TypeAlias = dict[str, Any]


def begin_record(run: Run) -> Record:
    """Everything that is known of a run before it starts: its specs, setting, source and provenance."""
    record: Record = {
        "key": run.key,
        "cell": run.cell.key,
        "task": run.cell.task,
        "architecture": run.cell.architecture,
        "scan": run.cell.scan,
        "protocol": run.cell.protocol,
        "versions": list(run.cell.versions),
        **{name: getattr(run, name) for name in ("seed", "device", "dtype", "threads", "purpose", "selection")},
        "replicas": 1,  # how many seeds were trained together
        "cuda_graph": False,
        "training_note": None,
        "status": "done",
        "reason": None,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": source_of(run.cell),
    }
    return record | provenance(run.device)


def lost_record(run: Run, reason: str, *, status: str = "failed", seconds: float = 0.0) -> Record:
    """The record of a run whose worker died under it, or was stopped, after so many seconds."""
    return begin_record(run) | {"status": status, "reason": reason, "run_seconds": seconds}
