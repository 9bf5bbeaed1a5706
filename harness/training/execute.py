"""One run from spec to record. This is the harness's main path; everything else is found from here."""

from __future__ import annotations

import time
import traceback

import torch

from harness.contracts.errors import Diverged, Unsupported, UserError, is_out_of_memory
from harness.contracts.outcome import Status
from harness.contracts.protocol import Outcome, Report
from harness.registry.cells import Run, protocol_of, task_of
from harness.store.record import Record, begin_record

from .ceilings import Accuracy, ceilings_of
from .precision import precision


def execute(run: Run, report: Report = lambda *_: None, *, outcome: Outcome | Diverged | None = None) -> Record:
    """Run one cell with one seed and return what it left behind, whatever happened.

    A run that diverges, does not fit in memory, cannot run here or fails is a record with that status and a reason.

    Args:
        outcome: what training came to where the run has been trained already, together with others.
    """
    record = begin_record(run)
    started = time.perf_counter()
    try:
        with precision(run.dtype, run.device):
            record |= _train_and_evaluate(run, report, outcome)
    except Unsupported as error:
        record |= {"status": Status.UNSUPPORTED, "reason": str(error)}
    except Diverged as error:
        record |= {"status": Status.DIVERGED, "reason": str(error), "diverged_at": error.step}
    except Exception as error:
        record |= {
            "status": Status.OUT_OF_MEMORY if is_out_of_memory(error) else Status.FAILED,
            "reason": str(error) if isinstance(error, UserError) else first_line(error),
            "traceback": traceback.format_exc(),
        }
    record["run_seconds"] = time.perf_counter() - started
    return record


def first_line(error: Exception) -> str:
    """An error's type and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _train_and_evaluate(run: Run, report: Report, outcome: Outcome | Diverged | None) -> Record:
    if run.device == "cpu":
        torch.set_num_threads(run.threads)
    task = task_of(run.cell)
    if outcome is None:
        outcome = protocol_of(run.cell).train(run, task, report)
    if isinstance(outcome, Diverged):
        raise outcome
    ceilings = ceilings_of(run.cell.task)
    return outcome | {
        "grid": list(task.grid),
        "classes": task.classes,
        "test_train_ratio": task.test_train_ratio,
        "data": task.for_run(run.seed).facts() or None,
        "chance_accuracy": task.chance,
        "order_blind_ceiling": _value(ceilings.order_blind),
        "position_marginal_ceiling": _value(ceilings.position_marginal),
        "oracle_accuracy": _value(ceilings.oracle),
    }


def _value(accuracy: Accuracy | None) -> float | None:
    return None if accuracy is None else accuracy.value
