"""What a study will take: a few steps of each kind of cell, timed, times the steps it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.contracts.errors import Unsupported
from harness.registry.cells import Cell, Run, protocol_of, scan_of, task_of


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one run: seconds of one worker, and the most bytes that its tensors take at once (None where not known)."""

    seconds: float
    peak_bytes: int | None


def costs_of(
    cells: Sequence[Cell], *, device: str, dtype: str, watch: Callable[[int, int], None] = lambda *_: None
) -> dict[Cell, Cost | str]:
    """The cost of a run of every cell, or why it cannot run here.

    Cells that differ in a scan of as many routes cost the same, so one of them is tried.
    """
    kinds: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(_kind(cell), []).append(cell)
    found: dict[Cell, Cost | str] = {}
    for number, alike in enumerate(kinds.values()):
        watch(number, len(kinds))
        found |= dict.fromkeys(alike, _cost(alike[0], device, dtype))
    return {cell: found[cell] for cell in cells}


TRIED = 24
"""Cells of a large study that are timed; the others cost what their neighbours in budget do."""


def total_seconds(runs: Mapping[Cell, int], *, device: str, dtype: str) -> float:
    """About how long so many runs of each cell take one worker, from a few steps of every k-th cell by budget.

    A run that ends before its budget does takes less.
    """
    cells = sorted(runs, key=lambda cell: (getattr(protocol_of(cell), "steps", 0), cell.task, cell.architecture))
    every = -(-len(cells) // TRIED)
    tried = cells[every // 2 :: every]
    costs = costs_of(tried, device=device, dtype=dtype)
    total = 0.0
    for number, cell in enumerate(cells):
        cost = costs[tried[min(number // every, len(tried) - 1)]]
        total += runs[cell] * cost.seconds if isinstance(cost, Cost) else 0.0
    return total


def _kind(cell: Cell) -> tuple[object, ...]:
    scan = scan_of(cell)
    try:
        segments = scan.segment_lengths(task_of(cell).grid)
        scan.routes(task_of(cell).grid)
    except Unsupported:
        return cell, "unsupported"
    routes = 1 if scan.per_layer else len(scan.orders)
    return cell.task, cell.architecture, cell.protocol, routes, scan.own_parameters, len(segments)


def _cost(cell: Cell, device: str, dtype: str) -> Cost | str:
    import torch

    from harness.timing.memory import peak_bytes
    from harness.training.precision import precision

    run = Run(cell=cell, seed=0, device=device, dtype=dtype)
    if device == "cpu":
        torch.set_num_threads(run.threads)
    try:
        task, protocol = task_of(cell), protocol_of(cell)
        with precision(dtype, device):
            seconds, peak = protocol.estimate(run, task), None
            if protocol.timed:
                timed = protocol.timed_step(run, task)
                timed.step()  # makes the optimizer's state before memory is read
                peak = peak_bytes(timed.step, device)
        return Cost(seconds=seconds, peak_bytes=peak)
    except Exception as error:  # its runs will say the same, each in its record
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
