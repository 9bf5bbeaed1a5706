"""Mamba-2 as a mixer: mamba-ssm's own block and kernels for CUDA tensors, else the same in plain torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.norm import rms_norm
from harness.contracts.seeds import seeded_torch

from ..ops import scalar_scan
from ..ops.causal_conv import causal_conv, causal_conv_reference, depthwise_conv, uncounted_conv_flops
from ..ops.recurrence import Recurrence
from ..ops.scalar_decay import CHUNK, scalar_decay_chunked, scalar_decay_cpp, scalar_decay_reference
from .linear_attention import join_heads, split_heads
from .mamba_package import triton_package
from .recurrence_mixer import RecurrenceMixer


class Mamba2Block(nn.Module):
    """Projection, causal convolution, scan with a decay a head, gated norm, projection, in plain torch.

    Parameter names, shapes and the order of random draws are those of mamba-ssm's `Mamba2`: state dicts load both ways,
    and one seed gives one initialization.

    Args:
        d_model: width of a token. d_state: state per channel. d_conv: taps of the convolution, which 0 leaves
            out. expand: channels are `expand * d_model`. headdim: channels a head.
    """

    def __init__(self, d_model: int, d_state: int = 128, d_conv: int = 4, expand: int = 2, headdim: int = 64):
        super().__init__()
        channels = expand * d_model
        convolved, heads = channels + 2 * d_state, channels // headdim
        self.in_proj = nn.Linear(d_model, channels + convolved + heads, bias=False)  # z; x, B, C; Delta
        self.conv1d = depthwise_conv(convolved, d_conv)
        self.dt_bias, self.A_log = drawn_decays(heads)
        self.D = nn.Parameter(torch.ones(heads))
        self.D._no_weight_decay = True  # type: ignore[attr-defined]
        self.norm = nn.RMSNorm(channels, eps=1e-5)
        self.out_proj = nn.Linear(channels, d_model, bias=False)

    def forward(self, x: Steps) -> Steps:
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


def run_block(block: Any, x: Steps, scan: Callable[..., Tensor], conv: Callable[..., Tensor] = causal_conv) -> Steps:
    """The block's map with any scan (queries, keys, values, log decays); a Mamba2Block's or mamba-ssm's Mamba2's."""
    channels, heads = block.out_proj.in_features, len(block.A_log)
    convolved = block.in_proj.out_features - channels - heads
    state = (convolved - channels) // 2
    z, inputs, given = block.in_proj(x).split([channels, convolved, heads], dim=-1)
    inputs, B, C = conv(inputs, block.conv1d).split([channels, state, state], dim=-1)
    step_size = step_sizes(block, given).mT
    inputs = split_heads(inputs, heads)
    log_decay = -torch.exp(block.A_log)[:, None] * step_size
    y = scan(C[:, None], B[:, None], step_size[..., None] * inputs, log_decay)
    y = join_heads(y + block.D[:, None, None] * inputs)
    dtype = block.norm.weight.dtype  # norms stay in float32 under autocast
    return block.out_proj(rms_norm(y.to(dtype), block.norm.weight, block.norm.eps, gate=z.to(dtype), gate_first=True))


SIGNED = Recurrence(
    operator=scalar_scan.CPP,
    cpp=functools.partial(scalar_decay_cpp, signed=True),
    chunked=functools.partial(scalar_decay_chunked, signed=True),
    name=f"signed state space duality chunk {CHUNK}",
    flops=5,
)
"""Mamba-2's with decays in [-1, 1]."""


class Mamba2(RecurrenceMixer):
    """One Mamba-2 block (arXiv 2405.21060, section 7.1).

    state_size: per channel its state, and the inputs that the convolution still needs.
    """

    causal = True
    recurrence = Recurrence(
        operator=scalar_scan.CPP,
        cpp=scalar_decay_cpp,
        chunked=scalar_decay_chunked,
        name=f"state space duality chunk {CHUNK}",
        flops=5,  # a number decays; two to write and to read it
    )

    def __init__(
        self,
        width: int,
        generator: torch.Generator,
        state: int,
        conv: int,
        expand: int,
        headdim: int,
        eigenvalues: str,
    ):
        super().__init__()
        self.signed = eigenvalues == "negative"
        if self.signed:
            self.recurrence = SIGNED
        channels = expand * width
        if channels % headdim:
            raise UserError(
                f"mamba2: headdim must divide expand * width = {expand} * {width} = {channels}, got headdim={headdim};"
                f" change headdim, expand or the width"
            )
        # The package's block has a convolution always, and keeps eigenvalues positive.
        self.package = triton_package("Mamba2") if conv and not self.signed else None
        self.states = channels * state
        self.state_size = self.states + (channels + 2 * state) * max(conv - 1, 0)
        with seeded_torch(generator):
            build = Mamba2Block if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, d_conv=conv, expand=expand, headdim=headdim)

    def mix(self, x: Steps) -> Steps:
        function = self._package_function(x)
        if function is None:
            return run_block(self.block, x, self.recur)
        self.path = function
        self.block.use_mem_eff_path = function == "mamba_split_conv1d_scan_combined"
        return self.block(x)

    def mix_plainly(self, x: Steps) -> Steps:
        scan = functools.partial(scalar_decay_reference, signed=True) if self.signed else scalar_decay_reference
        return run_block(self.block, x, scan, causal_conv_reference)

    def gate_directions(self) -> Float[Tensor, "heads width"]:
        """The rows of in_proj that give each head's step size; no convolution stands between."""
        return self.block.in_proj.weight[-len(self.block.A_log) :]

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads"]:
        """exp(Delta_t A) of every head, or the size of 2 exp(Delta_t A) - 1."""
        step_size = step_sizes(self.block, x @ self.gate_directions().mT)
        kept = torch.exp(-torch.exp(self.block.A_log) * step_size)
        return (2 * kept - 1).abs() if self.signed else kept

    def uncounted_flops(self, length: int) -> int:
        """In mamba-ssm's kernels the recurrence's, Delta u and two for D u a channel, and the convolution's."""
        if not self.path.startswith("mamba_"):
            return super().uncounted_flops(length) + uncounted_conv_flops(self.block.conv1d, length)
        taps, convolved = self.block.conv1d.kernel_size[0], self.block.conv1d.in_channels
        channels = self.block.out_proj.in_features
        convolution = 2 * taps * convolved if self.path == "mamba_split_conv1d_scan_combined" else 0
        return length * (self.recurrence.flops * self.states + 3 * channels + convolution)

    def _package_function(self, x: Tensor) -> str | None:
        """Which of mamba-ssm's functions serves these tensors."""
        if self.package is None or not x.is_cuda or x.dtype == torch.float64:
            return None
        taps, convolved = self.block.conv1d.kernel_size[0], self.block.conv1d.in_channels
        if self.package.fused and 2 <= taps <= 4 and convolved % 8 == 0:
            return "mamba_split_conv1d_scan_combined"
        return "mamba_chunk_scan_combined" if taps > 1 else None

    @property
    def kernel(self) -> str:
        if self.package is not None and self.path.startswith("mamba_"):
            return f"mamba-ssm {self.package.version}/{self.path}"
        return super().kernel
