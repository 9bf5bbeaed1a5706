"""Speeds: a timing session of its own, after training, every compared cell interleaved, phases apart.

A speed is published only when the mixer's output and gradient agreed with its plain float64 reference at that shape.
Absolute times belong to the machine; ratios between cells of one session are what may be compared.
"""

from __future__ import annotations

import copy
import os
import secrets
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from .build import build_model
from .cells import Cell, protocol_of, task_of
from .data import Data
from .errors import Unsupported
from .mixer import Mixer
from .model import Permute, StandardModel
from .provenance import provenance, source_of
from .train import make_optimizer, train_step

PHASES = ("permutation", "mixer", "forward", "step")
"""Bringing tokens into route order and back; one mixer call; inference as a whole; a training step as a whole."""

ROUNDS = 9
SAMPLE_SECONDS = 0.02
"""Each phase of each cell is repeated for about this long in every round."""

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
"""Largest difference from the float64 reference, relative to the reference's largest entry."""

NOISY_SPREAD = 0.15
"""An interquartile range beyond this share of the median is marked noisy."""


@dataclass
class Bench:
    """One cell, set up to be timed: a function a phase, and the samples collected so far."""

    cell: Cell
    batch: int
    cells: int
    phases: dict[str, Callable[[], Any]]
    facts: dict[str, Any]
    number: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def sample(self, device: str) -> None:
        """Take one sample of every phase."""
        for phase, run in self.phases.items():
            timer = Timer("run()", globals={"run": run}, num_threads=1 if device == "cpu" else torch.get_num_threads())
            if phase not in self.number:  # the first call warms up and tells how often a sample repeats
                timer.timeit(1)
                self.number[phase] = max(1, round(SAMPLE_SECONDS / timer.timeit(1).mean))
                self.seconds[phase] = []
                continue
            self.seconds[phase].append(timer.timeit(self.number[phase]).mean)


def timing_session(
    cells: Sequence[Cell], *, device: str = "cpu", rounds: int = ROUNDS, watch: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Time cells against each other; a row a cell, with raw samples (seconds).

    Cells that cannot run here are left out: their runs say why.
    """
    if device == "cpu":
        torch.set_num_threads(1)
    benches = []
    for cell in cells:
        watch(f"preparing {cell.architecture} {cell.scan}")
        try:
            benches.append(_prepare(cell, device))
        except Unsupported:
            continue
    for number in range(rounds + 1):  # the first round warms up
        watch(f"timing {len(benches)} cells, round {number} of {rounds}")
        for bench in benches:
            bench.sample(device)
    session, started = secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds")
    return [_row(bench, device) | {"session": session, "started_at": started} for bench in benches]


def _prepare(cell: Cell, device: str) -> Bench:
    task, protocol = task_of(cell), protocol_of(cell)
    model = build_model(cell, task, protocol, seed=0).to(device)
    data = Data(task, spec=cell.task, seed=0, device=device)
    tokens, target, mask = next(data.train_batches(count=protocol.batch_size, batch_size=protocol.batch_size, steps=1))
    optimizer = make_optimizer(model, protocol)
    mixer: Mixer = model.blocks[0].mixer.mixers[0]  # type: ignore[assignment, union-attr]
    coordinates: Tensor = model.blocks[0].mixer.coordinates[0][None]  # type: ignore[index, union-attr]
    x = _unit_tokens(len(tokens), task.cells, protocol.width, device)
    output_error, gradient_error = errors_against_reference(mixer, x, coordinates)
    train_step(model, optimizer, protocol, tokens, target, mask)  # makes the optimizer's state before memory is read
    peak = peak_bytes(lambda: train_step(model, optimizer, protocol, tokens, target, mask), device)

    def inference(run: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.no_grad():
                return run()

        return call

    phases = {
        "permutation": inference(lambda: _permutation(model, tokens, x)),
        "mixer": inference(lambda: mixer(x, None, coordinates)),
        "forward": inference(lambda: model(tokens, mask)),
        "step": lambda: train_step(model, optimizer, protocol, tokens, target, mask),
    }
    facts = {
        "peak_bytes": peak,
        "kernel": model.kernel,
        "relative_error": output_error,
        "gradient_relative_error": gradient_error,
        "source": source_of(cell),
        "routes": len(model.routes),
    }
    return Bench(cell=cell, batch=len(tokens), cells=task.cells, phases=phases, facts=facts)


def _unit_tokens(batch: int, length: int, width: int, device: str) -> Tensor:
    """Tokens of root mean square about 1, as the standard frame hands them to a mixer."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, length, width, generator=generator).to(device)


def _permutation(model: StandardModel, tokens: Tensor, x: Tensor) -> None:
    """All the reordering that one forward pass does."""
    if model.gather_once:
        model.permute(tokens)
        return
    for block in model.blocks:
        routed = block.mixer
        for route, rank in zip(routed.routes, routed.ranks, strict=True):  # type: ignore[union-attr, arg-type]
            Permute.apply(Permute.apply(x, route, rank), rank, route)


def errors_against_reference(mixer: Mixer, x: Tensor, coordinates: Tensor, sequences: int = 4) -> tuple[float, float]:
    """How far a mixer's output and input gradient stand from its plain float64 reference.

    The fast path runs at the full shape; the reference, which may be slow, on the first few sequences of the batch.

    Args:
        mixer: the mixer. x: [batch, length, width]. coordinates: [1, length, 2].

    Returns:
        (output, gradient): largest difference over the reference's largest entry.
    """
    plain = copy.deepcopy(mixer).double()
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.device)
    fast_x = x.clone().requires_grad_()
    fast = mixer(fast_x, None, coordinates)
    (fast_gradient,) = torch.autograd.grad((fast * weight).sum(), fast_x)
    slow_x = x[:sequences].double().requires_grad_()
    slow = plain.reference(slow_x, None, coordinates)
    (slow_gradient,) = torch.autograd.grad((slow * weight[:sequences]).sum(), slow_x)
    return _relative(fast[:sequences], slow), _relative(fast_gradient[:sequences], slow_gradient)


def _relative(found: Tensor, expected: Tensor) -> float:
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return float(((found.double() - expected).abs().max() / scale).detach())


def peak_bytes(run: Callable[[], Any], device: str) -> int:
    """Peak of live tensor bytes that `run` adds on top of what lives already (parameters, optimizer state, batch).

    On a CPU from the allocator's own events (torch.profiler), not from a warm process's resident set.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    from torch.profiler import ProfilerActivity, profile

    with _quiet_standard_error(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory: list[Any] = [event for event in events if event.name() == "[memory]"]
    changes = sorted((event.start_ns(), event.nbytes()) for event in memory)
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


@contextmanager
def _quiet_standard_error() -> Iterator[None]:
    """The profiler's C++ side writes notes to standard error that no Python setting silences."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _row(bench: Bench, device: str) -> dict[str, Any]:
    tokens = bench.batch * bench.cells
    median = {phase: statistics.median(samples) for phase, samples in bench.seconds.items()}
    row: dict[str, Any] = {
        "cell": bench.cell.key,
        "task": bench.cell.task,
        "architecture": bench.cell.architecture,
        "scan": bench.cell.scan,
        "protocol": bench.cell.protocol,
        "device": device,
        "dtype": "float32",
        "setting": f"{device} float32 threads=1",
        "batch": bench.batch,
        "length": bench.cells,
        **bench.facts,
        **{f"{phase}_samples": samples for phase, samples in bench.seconds.items()},
        "speed_note": None,
    }
    row |= {name: value for name, value in provenance(device).items() if name in ("machine", "torch_version")}
    errors = bench.facts["relative_error"], bench.facts["gradient_relative_error"]
    # Written so that a NaN fails too.
    if not (errors[0] <= OUTPUT_TOLERANCE and errors[1] <= GRADIENT_TOLERANCE):
        row["speed_note"] = f"no speed: output differs from the float64 reference by {errors[0]:.1e}/{errors[1]:.1e}"
        return row
    row |= {f"{phase}_seconds": seconds for phase, seconds in median.items()}
    row["train_tokens_per_second"] = tokens / median["step"]
    row["forward_tokens_per_second"] = tokens / median["forward"]
    if max(spread(bench.seconds[phase]) for phase in ("forward", "step")) > NOISY_SPREAD:
        row["speed_note"] = "noisy"
    return row


def spread(samples: Sequence[float]) -> float:
    """Interquartile range over median."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / middle
