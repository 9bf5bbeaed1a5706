"""Where runs are shown beside the store while a study goes on: TensorBoard, MLflow, or anything of yours.

    python -m harness run --sink tensorboard:logs --sink mlflow:http://localhost:5000

A sink lives in the driver and hears of runs as they go and as they end; what the store has already it does not hear of
again. The store never depends on it: a sink that raises is reported in one line and left out from then on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .cells import short
from .errors import UserError, nearest

if TYPE_CHECKING:
    from .cells import Run
    from .record import Record


class Sink:
    """What a sink may hear; override what it is interested in."""

    def on_progress(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        """A run goes on, a few times a second at most; loss: training loss, accuracy: last validation accuracy."""

    def on_record(self, record: Record) -> None:
        """A run has ended, however it did; the store has its record already."""

    def close(self) -> None:
        """The study has ended."""


class Sinks:
    """Passes everything on to several sinks; one that raises is dropped.

    Args:
        sinks: by the name under which one is reported.
    """

    def __init__(self, sinks: dict[str, Sink] | None = None):
        self._sinks = dict(sinks or {})

    def on_progress(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        self._tell("on_progress", run, step, steps, loss, accuracy)

    def on_record(self, record: Record) -> None:
        self._tell("on_record", record)

    def close(self) -> None:
        self._tell("close")

    def _tell(self, method: str, *values: Any) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                getattr(sink, method)(*values)
            except Exception as error:
                del self._sinks[name]
                reason = str(error).partition("\n")[0]
                print(
                    f"warning: sink {name} is left out from here on, it raised {type(error).__name__}: {reason}; the"
                    " store has every record",
                    file=sys.stderr,
                )


def open_sink(text: str) -> Sink:
    """The sink that `kind:target` names.

    Raises:
        UserError: an unknown kind, no target, a package that is missing, or a target that cannot be used; one line.
    """
    kind, _, target = text.partition(":")
    if kind not in KINDS:
        raise UserError(f"--sink is kind:target, of kind {' or '.join(KINDS)}, got {text!r}; {nearest(kind, KINDS)}")
    if not target:
        raise UserError(f"--sink {kind} needs a target, got {text!r}; give {KINDS[kind]}")
    try:
        if kind == "tensorboard":
            from .tensorboard_sink import TensorBoard

            return TensorBoard(target)
        from .mlflow_sink import MLflow

        return MLflow(target)
    except ImportError as error:
        raise UserError(
            f"--sink {text!r} needs the package {kind}, which does not import here ({error}); install it with:"
            f" pip install 'scan-order-harness[{kind}]'"
        ) from error
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--sink {text!r} cannot be used, {type(error).__name__}: {reason}; give {KINDS[kind]}"
        ) from error


KINDS = {
    "tensorboard": "a folder for its event files: tensorboard:logs",
    "mlflow": "a tracking URI: mlflow:http://localhost:5000",
}


@contextmanager
def opened(sinks: Sequence[str | Sink]) -> Iterator[Sinks]:
    """Open sinks by their texts, or take them as they are, and close them when the study ends."""
    found = Sinks({_name(sink): open_sink(sink) if isinstance(sink, str) else sink for sink in sinks})
    try:
        yield found
    finally:
        found.close()


def _name(sink: str | Sink) -> str:
    return sink if isinstance(sink, str) else type(sink).__name__


def facts_of(record: Record) -> dict[str, str | int | float]:
    """What tells runs apart: specs without defaults, seed, learning rate, purpose, outcome."""
    specs = {axis: short(axis, record[axis]) for axis in ("task", "architecture", "scan", "protocol")}
    names = ("seed", "learning_rate", "purpose", "selection", "device", "dtype", "status", "kernel", "key")
    return specs | {name: record[name] for name in names if record.get(name) is not None}


def results_of(record: Record) -> dict[str, float]:
    """The finite numbers that a run came to."""
    names = ("test_accuracy", "test_loss", "validation_accuracy", "curve_area", "steps_to_threshold", "run_seconds")
    return {name: float(record[name]) for name in names if _finite(record.get(name))}


def curve_of(record: Record) -> Iterator[tuple[str, int, float]]:
    """(name, step, value) of every finite point of a run's curve."""
    curve = record.get("curve") or {}
    for name, values in curve.items():
        if name != "step":
            points = zip(curve["step"], values, strict=False)
            yield from ((name, int(step), float(value)) for step, value in points if _finite(value))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
