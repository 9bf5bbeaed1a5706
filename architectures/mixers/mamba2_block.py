"""Mamba-2's block (arXiv 2405.21060, section 7.1) in plain torch.

Parameter names, shapes and the order of random draws are those of mamba-ssm's `Mamba2`: state dicts load both ways, and
one seed gives one initialization.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..kernels.scalar_decay import scalar_decay_chunked
from .linear_attention import join_heads, split_heads


class Mamba2Block(nn.Module):
    """Projection, causal convolution, scan with a decay a head, gated norm, projection.

    Args:
        d_model: width of a token. d_state: state per channel. d_conv: taps of the convolution.
        expand: channels are `expand * d_model`. headdim: channels a head.
    """

    def __init__(self, d_model: int, d_state: int = 128, d_conv: int = 4, expand: int = 2, headdim: int = 64):
        super().__init__()
        channels = expand * d_model
        convolved, heads = channels + 2 * d_state, channels // headdim
        self.in_proj = nn.Linear(d_model, channels + convolved + heads, bias=False)  # z; x, B, C; Delta
        self.conv1d = nn.Conv1d(convolved, convolved, d_conv, groups=convolved, padding=d_conv - 1)
        self.dt_bias, self.A_log = drawn_decays(heads)
        self.D = nn.Parameter(torch.ones(heads))
        self.D._no_weight_decay = True  # type: ignore[attr-defined]
        self.norm = nn.RMSNorm(channels, eps=1e-5)
        self.out_proj = nn.Linear(channels, d_model, bias=False)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        return run_block(self, x, scalar_decay_chunked)


def drawn_step_biases(heads: int) -> Float[Tensor, " heads"]:
    """Step sizes start log-uniform between .001 and .1: the bias is the inverse softplus of such a draw."""
    step_size = torch.exp(torch.rand(heads) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)).clamp(min=1e-4)
    return step_size + torch.log(-torch.expm1(-step_size))


def drawn_decays(heads: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Biases of the step sizes and logarithms of the rates, drawn from torch's generator as mamba-ssm draws them.

    Rates start uniform between 1 and 16.
    """
    drawn = (drawn_step_biases(heads), torch.empty(heads).uniform_(1, 16).log())
    bias, log_rates = (nn.Parameter(values) for values in drawn)
    for parameter in (bias, log_rates):  # mamba-ssm marks these for training loops that leave out weight decay
        parameter._no_weight_decay = True  # type: ignore[attr-defined]
    return bias, log_rates


def step_sizes(block: Any, given: Float[Tensor, "batch length heads"]) -> Float[Tensor, "batch length heads"]:
    """Delta, from the part of the projected token that decides it."""
    return F.softplus(given.to(block.dt_bias.dtype) + block.dt_bias)


def run_block(
    block: Any, x: Float[Tensor, "batch length width"], scan: Callable[..., Tensor]
) -> Float[Tensor, "batch length width"]:
    """The block's map with any scan (queries, keys, values, log decays); a Mamba2Block's or mamba-ssm's Mamba2's."""
    channels, heads = block.out_proj.in_features, len(block.A_log)
    convolved = block.conv1d.in_channels
    state = (convolved - channels) // 2
    z, inputs, given = block.in_proj(x).split([channels, convolved, heads], dim=-1)
    inputs = F.silu(block.conv1d(inputs.mT)[..., : x.shape[1]].mT)
    inputs, B, C = inputs.split([channels, state, state], dim=-1)
    step_size = step_sizes(block, given).mT
    inputs = split_heads(inputs, heads)
    log_decay = -torch.exp(block.A_log)[:, None] * step_size
    y = scan(C[:, None], B[:, None], step_size[..., None] * inputs, log_decay)
    y = join_heads(y + block.D[:, None, None] * inputs) * F.silu(z)
    # norms stay in float32 under autocast
    normed = F.rms_norm(y.to(block.norm.weight.dtype), (channels,), block.norm.weight, block.norm.eps)
    return block.out_proj(normed)
