"""Runs that differ in their seed only, trained together: records as `execute` makes them, one a run.

Where they cannot be trained together (a kernel without a batching rule, too little memory) each trains alone, and its
record's `training_note` says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from harness.registry.cells import Run, protocol_of, task_of
from harness.store.record import Record

from .execute import execute, first_line
from .precision import precision

Watch = Callable[[Run, int, int, float, float | None], None]
"""(run, step, steps, training loss, last validation accuracy)."""


def execute_together(runs: Sequence[Run], watch: Watch = lambda *_: None, *, cuda_graphs: bool = False) -> list[Record]:
    """Train runs of one cell together and return their records, in their order; what goes wrong is in the records."""
    first, reports = runs[0], [partial(watch, run) for run in runs]
    assert all((run.cell, run.device, run.dtype) == (first.cell, first.device, first.dtype) for run in runs)
    started = time.perf_counter()
    try:
        if first.device == "cpu":
            torch.set_num_threads(first.threads)
        task, protocol = task_of(first.cell), protocol_of(first.cell)
        with precision(first.dtype, first.device):
            outcomes, facts = protocol.train_together(runs, task, reports, cuda_graphs=cuda_graphs)
    except Exception as error:  # alone, each run says for itself what is wrong with it
        note = {"training_note": f"not together: {first_line(error)}"}
        return [execute(run, report) | note for run, report in zip(runs, reports, strict=True)]
    share = (time.perf_counter() - started) / len(runs)
    records = [execute(run, outcome=outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    facts = {"replicas": len(runs), **facts}
    return [record | facts | {"run_seconds": share + record["run_seconds"]} for record in records]
