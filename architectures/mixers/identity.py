"""The control that mixes nothing."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.mixer import Mixer


class Identity(Mixer):
    """Every step receives itself. No parameters."""

    causal = True
    order_blind = True

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        return x
