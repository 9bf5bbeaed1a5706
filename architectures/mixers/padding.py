"""Padding, handled once at the entrance of every mixer."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def without_padding(
    x: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"] | None
) -> Float[Tensor, "batch length width"]:
    """`x` with padded steps set to zero.

    Whatever stands there, infinities included, then neither reaches a real step nor makes a gradient NaN (zero times
    infinity).
    """
    return x if mask is None else x.masked_fill(~mask[:, :, None], 0)
