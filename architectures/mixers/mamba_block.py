"""Mamba's block (arXiv 2312.00752, section 3.4) in plain torch, for machines where mamba-ssm does not import.

Parameter names, shapes and the order of random draws are those of mamba-ssm's `Mamba`: state dicts load both ways, and
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

from ..kernels.selective_scan import selective_scan


class MambaBlock(nn.Module):
    """Projection, causal convolution, selective scan, gate, projection.

    Args:
        d_model: width of a token. d_state: state per channel. d_conv: taps of the convolution.
        expand: channels are `expand * d_model`.
    """

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2):
        super().__init__()
        channels = expand * d_model
        rank = math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * channels, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, d_conv, groups=channels, padding=d_conv - 1)
        self.x_proj = nn.Linear(channels, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, channels)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        # Step sizes start log-uniform between .001 and .1: the bias is the inverse softplus of such a draw.
        step_size = torch.exp(torch.rand(channels) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        step_size = step_size.clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(step_size + torch.log(-torch.expm1(-step_size)))
        rates = torch.arange(1, d_state + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().expand(channels, -1).contiguous())
        self.D = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(channels, d_model, bias=False)
        # mamba-ssm marks these for training loops that leave out weight decay or redraw biases.
        for parameter in (self.A_log, self.D):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        self.dt_proj.bias._no_reinit = True  # type: ignore[attr-defined]

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        return run_block(self, x, selective_scan)


def run_block(
    block: Any, x: Float[Tensor, "batch length width"], scan: Callable[..., Tensor]
) -> Float[Tensor, "batch length width"]:
    """The block's map with any selective scan; `block` is a MambaBlock or mamba-ssm's Mamba.

    A, D and the bias of the step size are rounded to float32 whatever the dtype, as mamba-ssm rounds them: so the two
    agree to the last digits in float64 too.
    """
    length = x.shape[1]
    inputs, z = block.in_proj(x).transpose(1, 2).chunk(2, dim=1)
    inputs = F.silu(block.conv1d(inputs)[..., :length])
    rank, state = block.dt_proj.in_features, block.A_log.shape[1]
    rates, B, C = block.x_proj(inputs.transpose(1, 2)).split([rank, state, state], dim=-1)
    y = scan(
        inputs,
        F.linear(rates, block.dt_proj.weight).transpose(1, 2),
        -torch.exp(block.A_log.float()),
        B.transpose(1, 2),
        C.transpose(1, 2),
        block.D.float(),
        z=z,
        delta_bias=block.dt_proj.bias.float(),
        delta_softplus=True,
    )
    return block.out_proj(y.transpose(1, 2))
