"""Speeds: a timing session of its own, after training, every compared cell interleaved, phases apart.

A speed is published only when the mixer's output and gradient agreed with its plain float64 reference at that shape.
Absolute times belong to the machine; ratios between cells of one session are what may be compared.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from .build import build_model
from .cells import Cell, protocol_of, task_of
from .checking import agrees, errors_against_reference, errors_on_prefix, reach_of
from .data import Data
from .errors import Unsupported
from .memory import peak_bytes
from .mixer import Mixer
from .model import StandardModel
from .precision import precision
from .protocols.standard import Standard
from .provenance import provenance, source_of
from .routed import Permute, Places
from .timing import NOISY_SPREAD, Phases, spread
from .train import make_optimizer, train_step

PHASES = ("permutation", "mixer", "forward", "step")
"""Bringing tokens into route order and back; one mixer call; inference as a whole; a training step as a whole."""

ROUNDS = 9

WHOLE_STEPS, PREFIX_STEPS = 2048, 1024
"""Irregular sequences longer than the first are checked on so many first steps."""


@dataclass(kw_only=True)
class Bench(Phases):
    """One cell, set up to be timed. batch: sequences. cells: of one, on average."""

    cell: Cell
    batch: int
    cells: float
    facts: dict[str, Any]


def timing_session(
    cells: Sequence[Cell],
    *,
    device: str = "cpu",
    dtype: str = "float32",
    rounds: int = ROUNDS,
    watch: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Time cells against each other; a row a cell, with raw samples (seconds).

    Cells that cannot run here are left out: their runs say why.
    """
    if device == "cpu":
        torch.set_num_threads(1)
    benches = []
    with precision(dtype, device):
        for cell in cells:
            watch(f"preparing {cell.architecture} {cell.scan}")
            try:
                benches.append(_prepare(cell, device))
            except Unsupported:
                continue
        for number in range(rounds + 1):  # the first round warms up
            watch(f"timing {len(benches)} cells, round {number} of {rounds}")
            for bench in benches:
                bench.sample()
    session, started = secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds")
    return [_row(bench, device, dtype) | {"session": session, "started_at": started} for bench in benches]


def _prepare(cell: Cell, device: str) -> Bench:
    task, protocol = task_of(cell), protocol_of(cell)
    assert isinstance(protocol, Standard), "a study times cells of the standard protocol only"
    model = build_model(cell, task, protocol, seed=0).to(device)
    data = Data(task, spec=cell.task, seed=0, device=device)
    size = protocol.batch_size
    tokens, target, mask = next(next(data.train_parts(count=size, batch_size=size, steps=1)))
    optimizer = make_optimizer(model, protocol)
    mixer: Mixer = model.first.mixers[0]  # type: ignore[assignment]
    coordinates = mask.cells[:1] if isinstance(mask, Places) else model.first.coordinates[0][None]
    x = _unit_tokens(len(tokens), tokens.shape[1], model.embed.out_features, device)
    output_error, gradient_error = _errors(mixer, x, coordinates, whole=not task.irregular)
    train_step(model, optimizer, protocol, tokens, target, mask)  # makes the optimizer's state before memory is read
    peak = peak_bytes(lambda: train_step(model, optimizer, protocol, tokens, target, mask), device)

    def inference(run: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.no_grad():
                return run()

        return call

    phases = {
        "permutation": inference(lambda: _permutation(model, tokens, x, mask)),
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
        "routes": len(model.first.routes),
    }
    cells = float(mask.lengths.float().mean()) if isinstance(mask, Places) else task.cells
    return Bench(cell=cell, batch=len(tokens), cells=cells, phases=phases, facts=facts)


def _errors(mixer: Mixer, x: Tensor, coordinates: Tensor, *, whole: bool) -> tuple[float, float]:
    """Against the reference on whole sequences, or on the beginning of one where they may be as long as a slide.

    NaN where a beginning decides nothing.
    """
    if whole or x.shape[1] <= WHOLE_STEPS:
        return errors_against_reference(mixer, x, coordinates)
    reach = reach_of(mixer)
    if reach is None or reach >= PREFIX_STEPS:
        return math.nan, math.nan
    return errors_on_prefix(mixer, x[:1], coordinates, PREFIX_STEPS, reach)


def _unit_tokens(batch: int, length: int, width: int, device: str) -> Tensor:
    """Tokens of root mean square about 1, as the standard frame hands them to a mixer."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, length, width, generator=generator).to(device)


def _permutation(model: StandardModel, tokens: Tensor, x: Tensor, mask: Tensor | Places | None) -> None:
    """All the reordering that one forward pass does; of irregular sequences, making their routes too."""
    if isinstance(mask, Places):
        mask = mask.forgotten()
        for block in model.blocks:
            for order in block.mixer.orders:  # type: ignore[union-attr]
                route, rank = mask.route(order)
                Permute.apply(Permute.apply(x, route, rank), rank, route)
        return
    if model.gather_once:
        model.permute(tokens)
        return
    for block in model.blocks:
        routed = block.mixer
        for route, rank in zip(routed.routes, routed.ranks, strict=True):  # type: ignore[union-attr, arg-type]
            Permute.apply(Permute.apply(x, route, rank), rank, route)


def _row(bench: Bench, device: str, dtype: str) -> dict[str, Any]:
    tokens = round(bench.batch * bench.cells)
    median = bench.medians
    row: dict[str, Any] = {
        "cell": bench.cell.key,
        "task": bench.cell.task,
        "architecture": bench.cell.architecture,
        "scan": bench.cell.scan,
        "protocol": bench.cell.protocol,
        "device": device,
        "dtype": dtype,
        "setting": f"{device} {dtype} threads=1",
        "batch": bench.batch,
        "length": round(bench.cells),
        **bench.facts,
        **{f"{phase}_samples": samples for phase, samples in bench.seconds.items()},
        "speed_note": None,
    }
    row |= {name: value for name, value in provenance(device).items() if name in ("machine", "torch_version")}
    errors = bench.facts["relative_error"], bench.facts["gradient_relative_error"]
    if any(map(math.isnan, errors)) and bench.cells > WHOLE_STEPS:
        row["speed_note"] = f"no speed: beyond {WHOLE_STEPS:,} steps no reference could be run"
        return row
    if not agrees(*errors, dtype=dtype):
        row["speed_note"] = f"no speed: output differs from the float64 reference by {errors[0]:.1e}/{errors[1]:.1e}"
        return row
    row |= {f"{phase}_seconds": seconds for phase, seconds in median.items()}
    row["train_tokens_per_second"] = tokens / median["step"]
    row["forward_tokens_per_second"] = tokens / median["forward"]
    if max(spread(bench.seconds[phase]) for phase in ("forward", "step")) > NOISY_SPREAD:
        row["speed_note"] = "noisy"
    return row
