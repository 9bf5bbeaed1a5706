"""Where runs are shown beside the store while a study goes on: TensorBoard, MLflow, or anything of yours.

    python -m harness run --logger tensorboard:logs --logger mlflow:http://localhost:5000

A logger lives in the driver and hears of runs as they go and as they end; what the store has already it does not hear
of again. The store never depends on it: a logger that raises is reported in one line and left out from then on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.contracts.errors import UserError, nearest
from harness.registry.cells import Run
from harness.store.record import Record

from .loggers import RunLogger


class Loggers:
    """Passes everything on to several loggers; one that raises is dropped.

    Args:
        loggers: by the name under which one is reported.
    """

    def __init__(self, loggers: dict[str, RunLogger] | None = None):
        self._loggers = dict(loggers or {})

    def on_progress(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        self._tell("on_progress", run, step, steps, loss, accuracy)

    def on_record(self, record: Record) -> None:
        self._tell("on_record", record)

    def close(self) -> None:
        self._tell("close")

    def _tell(self, method: str, *values: Any) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                getattr(logger, method)(*values)
            except Exception as error:
                del self._loggers[name]
                raised = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
                text = (
                    f"warning: logger {name} is left out from here on, it raised {raised}; the store has every record"
                )
                print(text, file=sys.stderr)


def open_logger(text: str) -> RunLogger:
    """The logger that `kind:target` names.

    Raises:
        UserError: an unknown kind, no target, a package that is missing, or a target that cannot be used; one line.
    """
    kind, _, target = text.partition(":")
    if kind not in KINDS:
        raise UserError(f"--logger is kind:target, of kind {' or '.join(KINDS)}, got {text!r}; {nearest(kind, KINDS)}")
    if not target:
        raise UserError(f"--logger {kind} needs a target, got {text!r}; give {KINDS[kind]}")
    try:
        if kind == "tensorboard":
            from .tensorboard_logger import TensorBoard

            return TensorBoard(target)
        from .mlflow_logger import MLflow

        return MLflow(target)
    except ImportError as error:
        raise UserError(
            f"--logger {text!r} needs the package {kind}, which does not import here ({error}); install it with:"
            f" pip install 'scan-order-harness[{kind}]'"
        ) from error
    except Exception as error:
        raised = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UserError(f"--logger {text!r} cannot be used, {raised}; give {KINDS[kind]}") from error


KINDS = {
    "tensorboard": "a folder for its event files: tensorboard:logs",
    "mlflow": "a tracking URI: mlflow:http://localhost:5000",
}


@contextmanager
def opened(loggers: Sequence[str | RunLogger]) -> Iterator[Loggers]:
    """Open loggers by their texts, or take them as they are, and close them when the study ends."""
    found = Loggers(
        dict((each, open_logger(each)) if isinstance(each, str) else (type(each).__name__, each) for each in loggers)
    )
    try:
        yield found
    finally:
        found.close()
