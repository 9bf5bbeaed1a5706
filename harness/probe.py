"""What a study will take: a few steps of each kind of cell, timed, times the steps it asks for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .cells import Cell, Run, cell_from, protocol_of, scan_of, task_of
from .errors import Unsupported
from .protocols.standard import Standard
from .specs import format_spec, parse_spec

STEPS = 3
PAPER_STEPS = 5


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
        cost = _cost(alike[0], device, dtype)
        found |= dict.fromkeys(alike, cost)
    return {cell: found[cell] for cell in cells}


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
    from .precision import precision

    try:
        with precision(dtype, device):
            return (
                _standard_cost(cell, device) if isinstance(protocol_of(cell), Standard) else _paper_cost(cell, device)
            )
    except Exception as error:  # its runs will say the same, each in its record
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _standard_cost(cell: Cell, device: str) -> Cost:
    import torch

    from .build import build_model
    from .data import Data
    from .memory import peak_bytes
    from .train import TRANSFER_SAMPLES, evaluate, make_optimizer, train_step

    if device == "cpu":
        torch.set_num_threads(1)
    task, protocol = task_of(cell), protocol_of(cell)
    assert isinstance(protocol, Standard)
    model = build_model(cell, task, protocol, seed=0).to(device)
    data = Data(task, spec=cell.task, seed=0, device=device)
    optimizer = make_optimizer(model, protocol)
    size = protocol.batch_size
    batches = data.train_batches(count=(STEPS + 2) * size, batch_size=size, steps=STEPS + 2)
    first = next(batches)
    train_step(model, optimizer, protocol, *first)
    peak = peak_bytes(lambda: train_step(model, optimizer, protocol, *first), device)
    steps = []
    for _ in range(STEPS):
        started = time.perf_counter()
        train_step(model, optimizer, protocol, *next(batches)).item()
        steps.append(time.perf_counter() - started)
    split = data.evaluation("validation", size)
    started = time.perf_counter()
    evaluate(model, split)
    a_sample = (time.perf_counter() - started) / split.count
    evaluations = protocol.steps // protocol.evaluate_every + 1
    read = evaluations * protocol.validation_samples + protocol.test_samples + len(protocol.transfer) * TRANSFER_SAMPLES
    return Cost(seconds=protocol.steps * statistics.median(steps) + read * a_sample, peak_bytes=peak)


def _paper_cost(cell: Cell, device: str) -> Cost:
    """A run stopped after a few steps, the rest by proportion; trials that converge stop earlier."""
    from .execute import execute

    protocol = protocol_of(cell)
    spec = parse_spec(cell.protocol, axis="protocol")
    times = []
    for steps in (1, 1 + PAPER_STEPS):
        shorter = format_spec(replace(spec, parameters={**spec.parameters, "steps": str(steps)}))
        short = cell_from(cell.task, cell.architecture, cell.scan, shorter)
        record = execute(Run(cell=short, seed=0, device=device))
        if record["status"] not in ("done", "diverged"):
            raise RuntimeError(record["reason"])
        times.append(record["run_seconds"])
    a_step = max(0.0, times[1] - times[0]) / PAPER_STEPS
    return Cost(seconds=times[0] + a_step * protocol.steps, peak_bytes=None)
