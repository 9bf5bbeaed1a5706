"""A record: what one run left behind. Begun before the run, completed by its outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from harness.contracts.outcome import Status
from harness.registry.cells import FINAL, RECORD_VERSION, REGISTRIES, RUN_FIELDS, TUNING, Cell, LrSelection, Run

from .provenance import provenance, source_of

Record: TypeAlias = dict[str, Any]

RECORD_SCHEMA = 2
"""Which fields a record has; a record says it. Those of schema 1 say nothing; `upgrade` reads them."""

FIELDS: dict[str, type] = {
    "key": str, "task": str, "architecture": str, "scan": str, "protocol": str, "seed": int, "status": str,
    "reason": str, "test_accuracy": float, "test_auc": float, "test_f1": float, "test_loss": float,
    "validation_accuracy": float, "chance_accuracy": float, "test_train_ratio": float, "order_blind_ceiling": float,
    "position_marginal_ceiling": float, "oracle_accuracy": float, "threshold_accuracy": float,
    "steps_to_threshold": int, "mean_validation_accuracy": float, "width": int, "parameters": int, "state_size": int,
    "flops_per_token": float, "kernel": str, "learning_rate": float, "lr_selection": dict, "purpose": str, "steps": int,
    "test_samples": int, "run_seconds": float, "device": str, "dtype": str, "threads": int, "machine": str,
    "torch_version": str, "mamba_ssm_version": str, "numpy_version": str, "python_version": str,
    "harness_version": str, "commit": str, "dirty": bool, "deterministic": bool, "source": str, "cell": str,
    "versions": list, "started_at": str, "replicas": int, "cuda_graph": bool, "training_note": str,
    "record_schema": int, "record_version": int, "grid": list, "classes": int,
    "stopped_at": int, "capped": bool,
}  # fmt: skip
"""Scalar fields that records have in common, and their types; every one but those `REQUIRED` may be missing or None.
Protocols and tasks add others, curves for instance."""

REQUIRED = (
    "key", "cell", "task", "architecture", "scan", "protocol", "versions", "seed", "device", "dtype", "threads",
    "purpose", "status", "source", "started_at",
)  # fmt: skip


def begin_record(run: Run) -> Record:
    """Everything that is known of a run before it starts: its specs, setting, source and provenance."""
    return {
        "record_schema": RECORD_SCHEMA,
        "key": run.key,
        "cell": run.cell.key,
        **run.cell.identity,
        **run.setting,
        "replicas": 1,  # how many seeds were trained together
        "cuda_graph": False,
        "training_note": None,
        "status": Status.DONE,
        "reason": None,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": source_of(run.cell, run.device),
        **provenance(run.device),
    }


def lost_record(run: Run, reason: str, *, status: str = Status.FAILED, seconds: float = 0.0) -> Record:
    """The record of a run whose worker died under it, or was stopped, after so many seconds."""
    return begin_record(run) | {"status": status, "reason": reason, "run_seconds": seconds}


def upgrade(record: Mapping[str, Any]) -> Record:
    """A record in today's form, whatever version of the harness made it."""
    if "selection" not in record:
        return dict(record)
    selection = LrSelection.from_record(record)
    found = {name: value for name, value in record.items() if name != "selection"}
    return found | {"lr_selection": selection and selection.to_json()}


def problems_of(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with a record that comes from elsewhere: field, value and rule, a line each."""
    lines = [f"field {name!r}: missing" for name in REQUIRED if record.get(name) is None]
    for name, value in record.items():
        rule = None if value is None else _broken_rule(name, value)
        if rule:
            lines.append(f"field {name!r}: {_shown(value)}; must be {rule}")
    if record.get("status") == Status.DONE and record.get("test_accuracy") is None:
        lines.append("field 'test_accuracy': missing; must be a number where status is 'done'")
    # How another version of the harness makes keys is not known here.
    if not lines and record.get("record_version") == RECORD_VERSION:
        run = _run_of(record)
        for name, key in (("cell", run.cell.key), ("key", run.key)):
            if record[name] != key:
                lines.append(f"field {name!r}: {record[name]!r}; must be {key!r}, the hash of its specs and setting")
    return lines


def _broken_rule(name: str, value: Any) -> str | None:
    """The rule that a value breaks, or None."""
    kind = FIELDS.get(name)
    accepted: Any = float | int if kind is float else kind
    if kind is not None and (isinstance(value, bool) != (kind is bool) or not isinstance(value, accepted)):
        return f"of type {kind.__name__}"
    if name in ("key", "cell", "source") and not re.fullmatch("[0-9a-f]{16}", value):
        return "16 hexadecimal digits"
    if name == "seed" and value < 0:
        return "at least 0"
    if name == "lr_selection" and value.keys() != {"rates", "seeds"}:
        return "rates and seeds"
    if name == "versions" and not (len(value) == 4 and all(type(each) is int for each in value)):
        return "four whole numbers"
    if name in FIELDS and name.endswith(("_accuracy", "_f1", "_auc")) and (value < 0 or value > 1):
        return "from 0 to 1"
    if name == "record_schema" and value > RECORD_SCHEMA:
        return f"at most {RECORD_SCHEMA}: update the harness"
    if name == "status" and value not in list(Status):
        return f"one of {', '.join(Status)}"
    if name == "purpose" and value not in (FINAL, TUNING):
        return f"{FINAL} or {TUNING}"
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _run_of(record: Mapping[str, Any]) -> Run:
    cell = Cell(**{axis: record[axis] for axis in REGISTRIES}, versions=tuple(record["versions"]))
    setting = {name: record[name] for name in RUN_FIELDS}
    return Run(cell=cell, lr_selection=LrSelection.from_record(record), **setting)
