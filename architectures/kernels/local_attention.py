"""Attention within a window: a query at step i sees the keys j with |i - j| <= window (causal: i - window <= j <= i).

`banded_attention` hands the whole square to torch with a banded mask, `blocked_attention` gives each block of queries
its own, the previous and the next keys only. Every step sees itself, even a padded one, so no softmax is ever empty.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def banded_attention(
    queries: Float[Tensor, "batch heads length channels"],
    keys: Float[Tensor, "batch heads length channels"],
    values: Float[Tensor, "batch heads length channels"],
    window: int,
    causal: bool = False,
    mask: Bool[Tensor, "batch length"] | None = None,
) -> Float[Tensor, "batch heads length channels"]:
    """All pairs, those outside the window masked: pays for the full square."""
    length = queries.shape[2]
    step = torch.arange(length, device=queries.device)
    offset = step[None, :] - step[:, None]
    seen = _in_window(offset, window, causal)
    if mask is not None:
        seen = (seen & mask[:, None, None, :]) | (offset == 0)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)


def blocked_attention(
    queries: Float[Tensor, "batch heads length channels"],
    keys: Float[Tensor, "batch heads length channels"],
    values: Float[Tensor, "batch heads length channels"],
    window: int,
    causal: bool = False,
    mask: Bool[Tensor, "batch length"] | None = None,
    block: int | None = None,
) -> Float[Tensor, "batch heads length channels"]:
    """The same, in time linear in length. `block` is the number of queries a block, at least `window`."""
    length = queries.shape[2]
    block = block or block_size(window)
    missing = -length % block
    queries, keys, values = (
        F.pad(tensor, (0, 0, 0, missing)).unflatten(2, (-1, block)) for tensor in (queries, keys, values)
    )
    keys, values = (_with_neighbours(tensor, window, causal) for tensor in (keys, values))

    place = torch.arange(keys.shape[3], device=queries.device) - window
    offset = place[None, :] - torch.arange(block, device=queries.device)[:, None]
    real = torch.ones(1, length, dtype=torch.bool, device=queries.device) if mask is None else mask
    real = F.pad(real, (0, missing)).unflatten(1, (-1, block))[:, None, :, :, None]
    real = _with_neighbours(real, window, causal)[:, :, :, None, :, 0]
    seen = (_in_window(offset, window, causal) & real) | (offset == 0)

    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    weights = scores.masked_fill_(~seen, -torch.inf).softmax(-1)
    return (weights @ values).flatten(2, 3)[:, :, :length]


def block_size(window: int) -> int:
    """Queries a block: below 16 the products are too small to pay (measured on a CPU)."""
    return max(window, 16)


def _in_window(offset: Tensor, window: int, causal: bool) -> Tensor:
    return (offset >= -window) & (offset <= (0 if causal else window))


def _with_neighbours(blocks: Tensor, window: int, causal: bool) -> Tensor:
    """[batch, heads, blocks, block, channels]: each block with `window` steps before it and, not causal, after it."""
    before = F.pad(blocks[:, :, :-1, -window:], (0, 0, 0, 0, 1, 0))
    if causal:
        return torch.cat([before, blocks], dim=3)
    after = F.pad(blocks[:, :, 1:, :window], (0, 0, 0, 0, 0, 1))
    return torch.cat([before, blocks, after], dim=3)
