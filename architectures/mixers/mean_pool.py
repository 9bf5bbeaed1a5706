"""The order-blind control."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.mixer import Mixer

from .padding import without_padding


class MeanPool(Mixer):
    """Every step receives the mean over the real steps of its sequence. No parameters."""

    order_blind = True

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        if mask is None:
            mean = x.mean(1, keepdim=True)
        else:
            # A row of padding only has no mean; it gets zeros.
            count = mask.sum(1).clamp(min=1)[:, None, None]
            mean = without_padding(x, mask).sum(1, keepdim=True) / count
        return mean.expand_as(x)
