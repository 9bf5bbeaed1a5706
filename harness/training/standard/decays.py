"""The decays that a trained mixer shows: what part of its state a step keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contracts.mixer import Mixer
from harness.model.backbone import StandardModel
from harness.model.routed import TokenCoordinates

QUANTILES = 32
"""A record keeps so many equally likely decays."""

LARGEST = 2**22
"""torch.quantile takes no more than 16 million numbers; a grid of this many says as much."""


@torch.no_grad()
def decay_quantiles(model: StandardModel, tokens: Tensor, mask: Tensor | TokenCoordinates | None) -> list[float] | None:
    """Quantiles, at 1/64, 3/64, ..., of the decays of the first layer's first mixer on a batch in cell order.

    Every step, channel and state counts the same. None where the mixer has no decay (attention).
    """
    found: list[Tensor] = []
    mixer: Mixer = model.first.mixers[0]  # type: ignore[assignment]

    def look(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        decays = mixer.decays(inputs[0])
        if decays is not None:
            found.append(decays.float().flatten())

    handle = mixer.register_forward_pre_hook(look)
    try:
        model(tokens, mask)
    finally:
        handle.remove()
    if not found:
        return None
    values = found[0][:: max(1, found[0].numel() // LARGEST)]
    places = (torch.arange(QUANTILES, device=values.device) + 0.5) / QUANTILES
    return torch.quantile(values, places).tolist()
