"""Runs as MLflow runs, one experiment a task."""

from __future__ import annotations

import os
import time
from datetime import datetime

# By default a server that has gone away would hold a study up for minutes at every record.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.store.record import Record

from .loggers import RunLogger, curve_of, facts_of, results_of

BATCH = 900
"""MLflow takes 1,000 metrics at once at most."""


class MLflow(RunLogger):
    """Every run that has ended, with its specs as parameters, its results and its curve as metrics.

    Args:
        uri: of the tracking server or store.
    """

    def __init__(self, uri: str):
        self.client = MlflowClient(tracking_uri=uri)
        self.client.search_experiments(max_results=1)  # a server that is not there says so now
        self._experiments: dict[str, str] = {}

    def on_record(self, record: Record) -> None:
        started = _milliseconds(datetime.fromisoformat(record["started_at"]).timestamp())
        names = " ".join(display_spec(axis, record[axis]) for axis in ("architecture", "scan"))
        run = self.client.create_run(
            self._experiment(record["task"]), start_time=started, run_name=f"{names} seed {record['seed']}"
        )
        params = [Param(name, str(value)) for name, value in facts_of(record).items()]
        metrics = [Metric(name, value, started, 0) for name, value in results_of(record).items()]
        metrics += [Metric(f"curve_{name}", value, started, step) for name, step, value in curve_of(record)]
        self.client.log_batch(run.info.run_id, params=params)
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run.info.run_id, metrics=metrics[start : start + BATCH])
        if record["reason"]:
            self.client.set_tag(run.info.run_id, "reason", record["reason"])
        status = "FINISHED" if record["status"] == Status.DONE else "FAILED"
        self.client.set_terminated(run.info.run_id, status, _milliseconds(time.time()))

    def _experiment(self, task: str) -> str:
        name = display_spec("task", task)
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            self._experiments[name] = found.experiment_id if found else self.client.create_experiment(name)
        return self._experiments[name]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
