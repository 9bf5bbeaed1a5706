"""Records as a pandas DataFrame: a row a run, the speeds of its cell joined on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .provenance import is_stale
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "key", "task", "architecture", "scan", "protocol", "seed", "status", "reason", "stale",
    "test_accuracy", "test_auc", "test_f1", "test_loss", "validation_accuracy", "chance_accuracy", "resampled",
    "order_blind_ceiling", "position_marginal_ceiling", "oracle_accuracy", "threshold_accuracy",
    "steps_to_threshold", "curve_area",
    "train_tokens_per_second", "forward_tokens_per_second", "step_seconds", "forward_seconds", "permutation_seconds",
    "peak_bytes", "width", "parameters", "state_size", "flops_per_token", "kernel", "relative_error", "speed_note",
    "learning_rate", "selection", "purpose",
    "steps", "test_samples", "run_seconds", "device", "dtype", "threads", "machine", "torch_version",
    "mamba_ssm_version", "numpy_version", "python_version", "harness_version", "commit", "dirty", "deterministic",
    "source", "cell", "versions", "started_at", "replicas", "cuda_graph", "training_note", "curve",
)  # fmt: skip
"""Columns that a frame always has, an empty store's too."""

SPEED_COLUMNS = (
    "train_tokens_per_second", "forward_tokens_per_second", "step_seconds", "forward_seconds", "permutation_seconds",
    "peak_bytes", "relative_error", "speed_note",
)  # fmt: skip


def frame_of(records: Sequence[dict[str, Any]], timings: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A DataFrame with `COLUMNS`, a row a record; each cell's latest timing on the same device is joined."""
    import pandas as pd

    latest = {(row["cell"], row["device"], row["dtype"]): row for row in timings}
    rows = []
    for record in records:
        speed = latest.get((record["cell"], record["device"], record["dtype"]), {})
        rows.append({**record, "stale": is_stale(record), **{name: speed.get(name) for name in SPEED_COLUMNS}})
    return pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], columns=pd.Index(COLUMNS))


def load(path: str | Path, *, tuning: bool = False) -> pd.DataFrame:
    """Read a store into a DataFrame: final runs, tuning runs on request.

    Raises:
        UserError: no such file, or not a store.
    """
    with Store(path, read_only=True) as store:
        return frame_of(store.records(tuning=tuning), store.timings())
