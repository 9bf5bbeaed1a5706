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
from torch import Tensor, nn

from harness.analysis.tolerances import NOISY_SPREAD, agrees
from harness.contracts.errors import Unsupported
from harness.contracts.mixer import Mixer
from harness.model.backbone import StandardModel
from harness.model.routed import Permute, RoutedMixer, TokenCoordinates
from harness.registry.cells import Cell, Run, protocol_of, task_of
from harness.store.provenance import provenance, source_of
from harness.training.precision import precision

from .checking import errors_against_reference, errors_on_prefix, reach_of
from .memory import peak_bytes
from .sampling import Phases, spread

PHASES = ("permutation", "mixer", "forward", "step")
"""Bringing tokens into route order and back; one mixer call; inference as a whole; a training step as a whole."""

WHOLE_STEPS, PREFIX_STEPS = 2048, 1024
"""Irregular sequences longer than the first are checked on so many first steps."""


@dataclass(kw_only=True)
class TimedCell(Phases):
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
    rounds: int = 9,
    watch: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Time cells against each other; one row per cell, with raw samples (seconds).

    Cells that cannot run here, or whose protocol is not timed, are left out: their runs say why.
    """
    if device == "cpu":
        torch.set_num_threads(1)
    timed_cells = []
    with precision(dtype, device):
        for cell in cells:
            watch(f"preparing {cell.architecture} {cell.scan}")
            try:
                timed_cells.append(_prepare(cell, device))
            except Unsupported:
                continue
        for number in range(rounds + 1):  # the first round warms up
            watch(f"timing {len(timed_cells)} cells, round {number} of {rounds}")
            for timed in timed_cells:
                timed.sample()
    session, started = secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds")
    return [_row(timed, device, dtype) | {"session": session, "started_at": started} for timed in timed_cells]


def _prepare(cell: Cell, device: str) -> TimedCell:
    task = task_of(cell)
    timed = protocol_of(cell).timed_step(Run(cell=cell, seed=0, device=device), task)
    model, (tokens, _, mask) = timed.model, timed.batch
    routed = [module for module in model.modules() if isinstance(module, RoutedMixer)]
    first = routed[0]
    mixer: Mixer = first.mixers[0]  # type: ignore[assignment]
    coordinates = mask.cells[:1] if isinstance(mask, TokenCoordinates) else first.coordinates[0][None]
    # Tokens of root mean square about 1, as a norm hands them to a mixer.
    x = torch.randn(*tokens.shape[:2], first.width, generator=torch.Generator().manual_seed(0)).to(device)
    output_error, gradient_error = _errors(mixer, x, coordinates, whole=not task.irregular)
    timed.step()  # makes the optimizer's state before memory is read
    peak = peak_bytes(timed.step, device)
    phases = {
        "permutation": torch.no_grad()(lambda: _permutation(model, routed, tokens, x, mask)),
        "mixer": torch.no_grad()(lambda: mixer(x, None, coordinates)),
        "forward": torch.no_grad()(lambda: model(tokens, mask)),
        "step": timed.step,
    }
    facts = {"peak_bytes": peak, "kernel": mixer.kernel, "relative_error": output_error}
    facts |= {"gradient_relative_error": gradient_error, "source": source_of(cell), "routes": len(first.routes)}
    cells = float(mask.lengths.float().mean()) if isinstance(mask, TokenCoordinates) else task.cells
    return TimedCell(cell=cell, batch=len(tokens), cells=cells, phases=phases, facts=facts)


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


def _permutation(
    model: nn.Module, layers: Sequence[RoutedMixer], tokens: Tensor, x: Tensor, mask: Tensor | TokenCoordinates | None
) -> None:
    """All the reordering that one forward pass does; of irregular sequences, making their routes too."""
    if isinstance(model, StandardModel) and model.gather_once and mask is None:
        model.permute(tokens)
        return
    places = mask.without_cache() if isinstance(mask, TokenCoordinates) else None
    for layer in layers:
        for number, order in enumerate(layer.orders):
            route, rank = places.route(order) if places else (layer.routes[number], layer.ranks[number])
            Permute.apply(Permute.apply(x, route, rank), rank, route)


def _row(timed: TimedCell, device: str, dtype: str) -> dict[str, Any]:
    tokens = round(timed.batch * timed.cells)
    median = timed.medians
    row: dict[str, Any] = {
        "cell": timed.cell.key,
        **{axis: getattr(timed.cell, axis) for axis in ("task", "architecture", "scan", "protocol")},
        "device": device,
        "dtype": dtype,
        "setting": f"{device} {dtype} threads=1",
        "batch": timed.batch,
        "length": round(timed.cells),
        **timed.facts,
        **{f"{phase}_samples": samples for phase, samples in timed.seconds.items()},
        "speed_note": None,
    }
    row |= {name: provenance(device)[name] for name in ("machine", "torch_version")}
    errors = timed.facts["relative_error"], timed.facts["gradient_relative_error"]
    if any(map(math.isnan, errors)) and timed.cells > WHOLE_STEPS:
        row["speed_note"] = f"no speed: beyond {WHOLE_STEPS:,} steps no reference could be run"
        return row
    if not agrees(*errors, dtype=dtype):
        row["speed_note"] = f"no speed: output differs from the float64 reference by {errors[0]:.1e}/{errors[1]:.1e}"
        return row
    row |= {f"{phase}_seconds": seconds for phase, seconds in median.items()}
    row["train_tokens_per_second"] = tokens / median["step"]
    row["forward_tokens_per_second"] = tokens / median["forward"]
    if max(spread(timed.seconds[phase]) for phase in ("forward", "step")) > NOISY_SPREAD:
        row["speed_note"] = "noisy"
    return row
