"""The control that mixes nothing."""

from __future__ import annotations

from harness.contracts.mixer import Coords, Mask, Mixer, Steps


class Identity(Mixer):
    """Every step receives itself. No parameters."""

    causal = True
    permutation_equivariant = True

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return x
