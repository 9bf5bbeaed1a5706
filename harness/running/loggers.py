"""What shows runs beside the store while they go on, and what there is to show of a record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.analysis.tables import selection_text
from harness.registry.cells import LrSelection, display_spec

if TYPE_CHECKING:
    from harness.registry.cells import Run
    from harness.store.record import Record


class RunLogger:
    """What a logger may hear; override what it is interested in."""

    def on_progress(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        """A run goes on, a few times a second at most; loss: training loss, accuracy: last validation accuracy."""

    def on_record(self, record: Record) -> None:
        """A run has ended, however it did; the store has its record already."""

    def close(self) -> None:
        """The study has ended."""


def facts_of(record: Record) -> dict[str, str | int | float]:
    """What tells runs apart: specs without defaults, seed, learning rate, purpose, outcome."""
    specs = {axis: display_spec(axis, record[axis]) for axis in ("task", "architecture", "scan", "protocol")}
    names = ("seed", "learning_rate", "purpose", "device", "dtype", "status", "kernel", "key")
    facts = {name: record[name] for name in names if record.get(name) is not None}
    return specs | facts | {"lr_selection": selection_text(LrSelection.from_record(record))}


def results_of(record: Record) -> dict[str, float]:
    """The finite numbers that a run came to."""
    accuracies = ("test_accuracy", "test_loss", "validation_accuracy", "mean_validation_accuracy")
    names = (*accuracies, "steps_to_threshold", "run_seconds")
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
