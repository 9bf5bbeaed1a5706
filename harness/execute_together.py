"""Runs that differ in their seed only, trained together: records as `execute` makes them, one a run.

Where they cannot be trained together (a kernel without a batching rule, too little memory) each trains alone, and its
record's `training_note` says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from .build import build_model
from .cells import Run, protocol_of, task_of
from .contracts import Task
from .cuda_graph import GraphedStep
from .data import Data
from .errors import Diverged
from .execute import execute
from .model import StandardModel
from .precision import precision
from .protocols.paper import Paper
from .protocols.standard import Standard
from .record import Record
from .replicas import Replica, Stack, train_replicas
from .train import beside_accuracy, looked_at, outcome_of

Report = Callable[[Run, int, int, float, float | None], None]
"""(run, step, steps, training loss, last validation accuracy)."""


def execute_together(
    runs: Sequence[Run], report: Report = lambda *_: None, *, cuda_graphs: bool = False
) -> list[Record]:
    """Train runs of one cell together and return their records, in their order; what goes wrong is in the records."""
    started = time.perf_counter()
    try:
        outcomes, facts = _train(runs, report, cuda_graphs)
    except Exception as error:  # alone, each run says for itself what is wrong with it
        return list(_one_by_one(runs, report, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))
    share = (time.perf_counter() - started) / len(runs)
    records = []
    for run, outcome in zip(runs, outcomes, strict=True):
        record = execute(run, train=lambda *_, outcome=outcome: _value(outcome))
        records.append(record | facts | {"run_seconds": share + record["run_seconds"]})
    return records


def _one_by_one(runs: Sequence[Run], report: Report, reason: str) -> Iterator[Record]:
    for run in runs:
        record = execute(run, lambda *values, run=run: report(run, *values))
        yield record | {"training_note": f"not together: {reason}"}


def _value(outcome: dict[str, Any] | Diverged) -> dict[str, Any]:
    if isinstance(outcome, Diverged):
        raise outcome
    return outcome


def _train(
    runs: Sequence[Run], report: Report, cuda_graphs: bool
) -> tuple[list[dict[str, Any] | Diverged], dict[str, Any]]:
    """What each run came to, and how they were trained."""
    cell, device = runs[0].cell, runs[0].device
    assert all((run.cell, run.device, run.dtype) == (cell, device, runs[0].dtype) for run in runs)
    if device == "cpu":
        torch.set_num_threads(runs[0].threads)
    task, protocol = task_of(cell), protocol_of(cell)
    if isinstance(protocol, Paper):
        from .paper.together import train_together

        with precision(runs[0].dtype, device):
            trials = train_together(runs, task, protocol, lambda index, *values: report(runs[index], *values))
        return trials, {"replicas": len(runs), "cuda_graph": False, "training_note": None}
    with precision(runs[0].dtype, device):
        models = [build_model(cell, task, protocol, seed=run.seed).to(device) for run in runs]
        replicas = [Replica(data=Data(task, spec=cell.task, seed=run.seed, device=device)) for run in runs]
        stack = Stack(models, protocol, capturable=cuda_graphs)
        step = GraphedStep(stack.train_step) if cuda_graphs else None

        def progress(index: int, number: int, loss: float, accuracy: float | None) -> None:
            report(runs[index], number, protocol.steps, loss, accuracy)

        train_replicas(stack, replicas, progress, step)
        facts = {
            "replicas": len(runs),
            "cuda_graph": step is not None and step.replayed,
            "training_note": None if step is None else step.reason,
        }
        outcomes: list[dict[str, Any] | Diverged] = [
            replica.diverged or _outcome(run, replica, task, stack.one(number), protocol)
            for number, (run, replica) in enumerate(zip(runs, replicas, strict=True))
        ]
    return outcomes, facts


def _outcome(run: Run, replica: Replica, task: Task, model: StandardModel, protocol: Standard) -> dict[str, Any]:
    scores = {"test_accuracy": replica.test_accuracy, "test_loss": replica.test_loss}
    test = replica.data.evaluation("test", protocol.test_samples)
    outcome = outcome_of(model, replica.curve, task, protocol, **scores)
    if not task.asks_cells:
        outcome |= beside_accuracy(replica.seen)
    return outcome | looked_at(model, run, task, protocol, replica.data, test)
