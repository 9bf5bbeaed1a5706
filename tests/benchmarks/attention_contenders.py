"""Ways to compute attention in a window: queries, keys, values [batch, heads, length, channels]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comparison import Contender, Maker, Run
from torch import Tensor

from harness.architectures.ops.local_attention import blocked_attention


def naive_attention(length: int, window: int) -> Run:
    """All scores, those outside the window masked, softmax, product: as one writes it first."""
    seen = band(length, window)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v

    return run


def attentions(length: int, window: int) -> Sequence[Maker]:
    """The contenders for one length and window; the naive form first."""
    seen = band(length, window)

    def naive() -> Contender:
        return Contender(name="naive masked attention", run=naive_attention(length, window))

    def banded() -> Contender:
        return Contender(
            name="torch SDPA, banded mask",
            run=lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen),
        )

    def ours() -> Contender:
        return Contender(name="this project's blocks", run=lambda q, k, v: blocked_attention(q, k, v, window))

    return naive, banded, ours


def band(length: int, window: int) -> Tensor:
    """[length, length]: whether a step sees another."""
    step = torch.arange(length)
    return (step[None] - step[:, None]).abs() <= window
