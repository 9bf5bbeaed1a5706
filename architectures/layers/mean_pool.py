"""The control that sees no order."""

from __future__ import annotations

from harness.contracts.mixer import Coords, Mask, Mixer, Steps

from .padding import without_padding


class MeanPool(Mixer):
    """Every step receives the mean over the real steps of its sequence. No parameters."""

    permutation_equivariant = True

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        if mask is None:
            mean = x.mean(1, keepdim=True)
        else:
            # A row of padding only has no mean; it gets zeros.
            count = mask.sum(1).clamp(min=1)[:, None, None]
            mean = without_padding(x, mask).sum(1, keepdim=True) / count
        return mean.expand_as(x)
