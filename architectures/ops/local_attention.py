"""Attention within a window: a query at step i sees the keys j with |i - j| <= window (causal: i - window <= j <= i).

`banded_attention` hands the whole square to torch with a banded mask, `blocked_attention` gives each block of queries
its own, the previous and the next keys only, and for `flex_window_attention` torch compiles a kernel that skips what
lies off the band. `window_path` says which serves. Every step sees itself, even a padded one: no softmax is ever empty.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from harness.contracts.mixer import Mask

from .shapes import Values

FLEX_BLOCK = 128
"""Queries and keys a block of flex_attention's kernels."""

FLEX_CHANNELS = 16
"""The fewest channels a head that those kernels take."""

FLEX_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def window_path(length: int, window: int, device: str, dtype: torch.dtype) -> Literal["banded", "blocked", "flex"]:
    """Which of the three serves.

    On a CPU blocks overtake the full square at about 96 steps and 8 windows (training on one thread, windows 1 to 32).
    On a GPU the full square serves below four of flex_attention's blocks and four windows, flex_attention beyond, and
    blocks where a format is not for its kernels (float64); that rule has not been measured yet.
    """
    if device != "cuda":
        return "blocked" if length >= max(96, 8 * window) else "banded"
    if length < max(4 * FLEX_BLOCK, 4 * window):
        return "banded"
    return "flex" if dtype in FLEX_DTYPES else "blocked"


def banded_attention(
    queries: Values, keys: Values, values: Values, window: int, causal: bool = False, mask: Mask = None
) -> Values:
    """All pairs, those outside the window masked: pays for the full square."""
    length = queries.shape[2]
    step = torch.arange(length, device=queries.device)
    offset = step[None, :] - step[:, None]
    seen = _in_window(offset, window, causal)
    if mask is not None:
        seen = (seen & mask[:, None, None, :]) | (offset == 0)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)


def blocked_attention(
    queries: Values,
    keys: Values,
    values: Values,
    window: int,
    causal: bool = False,
    mask: Mask = None,
    block: int | None = None,
) -> Values:
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


def flex_window_attention(
    queries: Values,
    keys: Values,
    values: Values,
    window: int,
    causal: bool = False,
    mask: Mask = None,
    attend: Callable[..., Tensor] | None = None,
) -> Values:
    """The same by torch's flex_attention: linear in length, one kernel each way. Not yet run on a GPU.

    attend: flex_attention, compiled unless given; without compilation it computes the full square, and on a CPU it has
        no gradient.
    """
    channels = queries.shape[3]
    missing = max(0, FLEX_CHANNELS - channels)  # zeros change neither products nor the channels that are kept
    queries, keys, values = (F.pad(tensor, (0, missing)) for tensor in (queries, keys, values))
    blocks = band_blocks(queries.shape[2], window, causal, queries.device)
    scale = channels**-0.5
    mixed = (attend or _compiled_flex())(queries, keys, values, _only_real(mask), blocks, scale)
    return mixed[..., :channels]


@functools.cache
def _compiled_flex() -> Callable[..., Tensor]:
    """Whole or not at all: past the limit of recompilations this raises, and never runs uncompiled."""
    return torch.compile(flex_attention, fullgraph=True)


def band_mask(window: int, causal: bool) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """flex_attention's mask_mod of the band: (sequence, head, query, key) -> whether the query sees the key."""
    earliest, latest = -window, 0 if causal else window
    # A lambda, here and for the scores: torch looks at its signature and compiles it, and must find no decorator.
    return lambda sequence, head, query, key: (key - query >= earliest) & (key - query <= latest)


@functools.lru_cache(maxsize=64)
def band_blocks(length: int, window: int, causal: bool, device: torch.device) -> BlockMask:
    """Which blocks of keys each block of queries needs, counted rather than found by looking at the whole square."""
    blocks = -(-length // FLEX_BLOCK)
    start = torch.arange(blocks, dtype=torch.int32, device=device) * FLEX_BLOCK
    first = ((start - window) // FLEX_BLOCK).clamp(min=0)
    last = ((start + FLEX_BLOCK - 1 + (0 if causal else window)) // FLEX_BLOCK).clamp(max=blocks - 1)
    number = last - first + 1
    needed = first[:, None] + torch.arange(blocks, dtype=torch.int32, device=device)
    return BlockMask.from_kv_blocks(
        number[None, None],
        needed.clamp(max=blocks - 1)[None, None],  # those after the first `number` are not looked at
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=band_mask(window, causal),
        seq_lengths=(length, length),
    )


def _only_real(mask: Tensor | None) -> Callable[..., Tensor] | None:
    """flex_attention's score_mod: padded keys are seen by themselves alone.

    In the scores and not in the block mask, which then serves every batch.
    """
    if mask is None:
        return None
    return lambda score, sequence, head, query, key: torch.where(
        mask[sequence, key] | (query == key), score, -torch.inf
    )


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
