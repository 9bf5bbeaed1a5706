"""How far a run lies from itself: on a GPU sums are taken in no fixed order, and two runs of one key differ.

On a CPU they give the same bits, which tests hold, so nothing is repeated there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.contracts.outcome import Status
from harness.registry.cells import Run
from harness.store.record import Record

INEXACT = ("cuda",)
"""Devices on which one run a cell is done twice."""

COMPARED = ("test_accuracy", "test_loss", "validation_accuracy", "mean_validation_accuracy")


def to_repeat(runs: Sequence[Run], records: Mapping[str, Record]) -> list[Run]:
    """The first finished run of every cell of which no run has been repeated yet, on the devices that need it."""
    cells: dict[str, list[Run]] = {}
    for run in runs:
        if run.device in INEXACT and records[run.key]["status"] == Status.DONE:
            cells.setdefault(run.cell.key, []).append(run)
    return [found[0] for found in cells.values() if not any(records[run.key].get("noise_floor") for run in found)]


def noise_floor(first: Record, second: Record) -> dict[str, float]:
    """By how much the scores of a run and of its repetition differ; empty where the repetition did not finish.

    A repetition trains alone: where the first was trained together with other seeds, the difference holds that too.
    """
    if second["status"] != Status.DONE:
        return {}
    return {name: abs(first[name] - second[name]) for name in COMPARED if first.get(name) is not None}


def noise_text(records: Sequence[Record]) -> str | None:
    """The largest difference that was seen in test accuracy, in words; None where nothing was repeated."""
    floors = [record["noise_floor"]["test_accuracy"] for record in records if record.get("noise_floor")]
    if not floors:
        return None
    times = f"{len(floors)} runs" if len(floors) > 1 else "one run"
    return f"{times} done twice: test accuracy differs by at most {max(floors):.4f}"
