"""What mixing costs: floating-point operations a token, and the numbers that a recurrence carries from step to step."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from .backbone import StandardModel
from .routed import RoutedMixer


def mixing_cost(model: StandardModel, batch: int) -> dict[str, float | None]:
    """Of the first layer's mixers over all their routes, on a batch of so many sequences.

    flops_per_token: in one forward pass, for each cell; a product with its addition counts as two. Matrix products,
        convolutions and attention are counted as they run, scans and transforms by formula (`Mixer.uncounted_flops`),
        other elementwise work not at all. None where counting failed: no run fails for it.
    state_size: numbers a sequence, added up over routes; None where a mixer has no such state.
    """
    # A copy, because a mixer notes which kernel it ran, and the record names the one that trained.
    routed = copy.deepcopy(model.first)
    try:
        flops = _flops_per_token(routed, batch, model.width)
    except Exception:
        flops = None
    return {"flops_per_token": flops, "state_size": state_size(model)}


def state_size(model: StandardModel) -> int | None:
    """Numbers that the first layer carries from step to step a sequence, over all its routes; None where a mixer has no
    state of a fixed size.
    """
    sizes = [mixer.state_size for mixer in _mixers(model.first)]
    return None if None in sizes else sum(sizes)


def _mixers(routed: RoutedMixer) -> list[Any]:
    """One a route."""
    return [routed.mixers[route % len(routed.mixers)] for route in range(len(routed.routes))]


def _flops_per_token(routed: RoutedMixer, batch: int, width: int) -> float:
    one, two = (_counted(routed, rows, width) for rows in (1, 2))
    shared = 2 * one - two  # what is done once however many sequences there are: S4D's kernel, say
    formula = sum(mixer.uncounted_flops(length) for mixer in _mixers(routed) for length in routed.segments)
    return (two - one + shared / batch + formula) / routed.routes.shape[1]


@torch.no_grad()
def _counted(routed: RoutedMixer, rows: int, width: int) -> int:
    device = routed.routes.device
    # The LSTM and the GRU of oneDNN (float32 only) and of cuDNN are one operation, which the counter does not know;
    # torch's own are made of products.
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    tokens = torch.zeros(rows, routed.routes.shape[1], width, dtype=dtype, device=device)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mapping = {flash: lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)}
    with torch.backends.cudnn.flags(enabled=False), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        routed.to(dtype)(tokens)
    return counter.get_total_flops()
