"""One run from spec to record. This is the harness's main path; everything else is found from here."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

import torch

from .ceilings import Accuracy
from .cells import Run, ceilings_of, protocol_of, task_of
from .errors import Diverged, Unsupported, UserError
from .precision import precision
from .protocols.paper import Paper
from .record import Record, begin_record

Report = Callable[[int, int, float, float | None], None]
"""(step, steps, training loss, last validation accuracy)."""

Train = Callable[..., Record]
"""(run, task, protocol, report) -> what the record holds of training; raises as `train.train_and_evaluate` does."""


def execute(run: Run, report: Report = lambda *_: None, *, train: Train | None = None) -> Record:
    """Run one cell with one seed and return what it left behind, whatever happened.

    A run that diverges, does not fit in memory, cannot run here or fails is a record with that status and a reason.

    Args:
        train: gives what training and evaluation left behind; the protocol's own way unless given.
    """
    record = begin_record(run)
    started = time.perf_counter()
    try:
        with precision(run.dtype, run.device):
            record |= _train_and_evaluate(run, report, train)
    except Unsupported as error:
        record |= {"status": "unsupported", "reason": str(error)}
    except Diverged as error:
        record |= {"status": "diverged", "reason": str(error), "diverged_at": error.step}
    except Exception as error:
        memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        record |= {
            "status": "out-of-memory" if memory else "failed",
            "reason": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "traceback": traceback.format_exc(),
        }
        if isinstance(error, UserError):
            record["reason"] = str(error)
    record["run_seconds"] = time.perf_counter() - started
    return record


def _train_and_evaluate(run: Run, report: Report, train: Train | None) -> Record:
    if run.device == "cpu":
        torch.set_num_threads(run.threads)
    task, protocol = task_of(run.cell), protocol_of(run.cell)
    if isinstance(protocol, Paper):
        from .paper.train import train_and_evaluate
    else:
        from .train import train_and_evaluate
    outcome = (train or train_and_evaluate)(run, task, protocol, report)  # pyright: ignore[reportArgumentType]
    ceilings = ceilings_of(run.cell.task)
    return outcome | {
        "grid": list(task.grid),
        "classes": task.classes,
        "resampled": task.resampled,
        "data": task.for_run(run.seed).facts() or None,
        "chance_accuracy": task.chance,
        "order_blind_ceiling": _value(ceilings.order_blind),
        "position_marginal_ceiling": _value(ceilings.position_marginal),
        "oracle_accuracy": _value(ceilings.oracle),
    }


def _value(accuracy: Accuracy | None) -> float | None:
    return None if accuracy is None else accuracy.value
