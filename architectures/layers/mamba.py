"""Mamba as a mixer: mamba-ssm's own block, and its map through C++ operators on a CPU or in plain torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.causal_conv import CPP, causal_conv, causal_conv_reference, depthwise_conv, uncounted_conv_flops
from ..ops.selective_scan import last_path, selective_scan, selective_scan_reference
from .mamba2 import drawn_step_biases
from .mamba_package import mamba_package
from .padding import StepMixer


class MambaBlock(nn.Module):
    """Projection, causal convolution, selective scan, gate, projection, in plain torch.

    Parameter names, shapes and the order of random draws are those of mamba-ssm's `Mamba`: state dicts load both ways,
    and one seed gives one initialization.

    Args:
        d_model: width of a token. d_state: state per channel. d_conv: taps of the convolution, which 0 leaves
            out. expand: channels are `expand * d_model`.
    """

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2):
        super().__init__()
        channels = expand * d_model
        rank = math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * channels, bias=False)
        self.conv1d = depthwise_conv(channels, d_conv)
        self.x_proj = nn.Linear(channels, rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(rank, channels)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(drawn_step_biases(channels))
        rates = torch.arange(1, d_state + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().expand(channels, -1).contiguous())
        self.D = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(channels, d_model, bias=False)
        # mamba-ssm marks these for training loops that leave out weight decay or redraw biases.
        for parameter in (self.A_log, self.D):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        self.dt_proj.bias._no_reinit = True  # type: ignore[attr-defined]

    def forward(self, x: Steps) -> Steps:
        return run_block(self, x, selective_scan)


def run_block(block: Any, x: Steps, scan: Callable[..., Tensor], conv: Callable[..., Tensor] = causal_conv) -> Steps:
    """The block's map with any selective scan; `block` is a MambaBlock or mamba-ssm's Mamba.

    A, D and the bias of the step size are rounded to float32 whatever the dtype, as mamba-ssm rounds them: so the two
    agree to the last digits in float64 too.
    """
    inputs, z = block.in_proj(x).chunk(2, dim=-1)
    inputs = conv(inputs, block.conv1d)
    rank, state = block.dt_proj.in_features, block.A_log.shape[1]
    rates, B, C = block.x_proj(inputs).split([rank, state, state], dim=-1)
    y = scan(
        inputs.mT,
        F.linear(rates, block.dt_proj.weight).mT,
        -torch.exp(block.A_log.float()),
        B.mT,
        C.mT,
        block.D.float(),
        z=z.mT,
        delta_bias=block.dt_proj.bias.float(),
        delta_softplus=True,
    )
    return block.out_proj(y.mT)


class Mamba(StepMixer):
    """One Mamba block (arXiv 2312.00752, section 3.4).

    state_size: per channel, the state and the inputs that the convolution still needs.
    """

    causal = True
    _in_package = False  # whether mamba-ssm's own map ran last

    def __init__(self, width: int, generator: torch.Generator, state: int, conv: int, expand: int, eigenvalues: str):
        super().__init__()
        self.signed = eigenvalues == "negative"
        self.package = mamba_package() if conv else None  # its block has a convolution always
        self.channels, self.state = expand * width, state
        self.state_size = self.channels * (state + max(conv - 1, 0))
        with seeded_torch(generator):
            build = MambaBlock if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, d_conv=conv, expand=expand)

    def mix(self, x: Steps) -> Steps:
        package = None if self.signed else self.package  # whose scan keeps eigenvalues positive
        self._in_package = package is not None and not CPP.serves(x, self.block.conv1d.weight)
        if package is None or not self._in_package:  # the package's block lays steps innermost, as CUDA kernels want it
            y = run_block(self.block, x, functools.partial(selective_scan, signed=self.signed))
            self.path = f"selective scan {last_path()}"
            return y
        self.block.use_fast_path = fused = package.fused and x.is_cuda
        y = self.block(x)
        self.path = "mamba_inner_fn" if fused else last_path()
        return y

    def mix_plainly(self, x: Steps) -> Steps:
        scan = functools.partial(selective_scan_reference, signed=self.signed)
        return run_block(self.block, x, scan, causal_conv_reference)

    def uncounted_flops(self, length: int) -> int:
        """The selective scan's: Delta A, its exponential, (Delta u) B, two for the state, two for its product with C
        a state, two more where eigenvalues may be negative; Delta u and two for D u a channel. And the convolution's.
        """
        convolution = 0 if self._in_package else uncounted_conv_flops(self.block.conv1d, length)
        return length * self.channels * ((9 if self.signed else 7) * self.state + 3) + convolution

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """Rows of dt_proj . x_proj . in_proj, the path from a token to each channel's step size.

        The convolution and its activation, which stand between in_proj and x_proj, are left out.
        """
        block = self.block
        channels, rank = block.dt_proj.out_features, block.dt_proj.in_features
        return block.dt_proj.weight @ block.x_proj.weight[:rank] @ block.in_proj.weight[:channels]

    def decays(self, x: Steps) -> Float[Tensor, "batch length channels state"]:
        """exp(Delta_t A) of every channel and state, or the size of 2 exp(Delta_t A) - 1."""
        block = self.block
        inputs = causal_conv_reference(block.in_proj(x).chunk(2, dim=-1)[0], block.conv1d)
        rates = block.x_proj(inputs)[..., : block.dt_proj.in_features]
        step_size = F.softplus(block.dt_proj(rates))
        kept = torch.exp(-step_size[..., None] * torch.exp(block.A_log))
        return (2 * kept - 1).abs() if self.signed else kept

    @property
    def kernel(self) -> str:
        if self.package is None or not self._in_package:
            return super().kernel
        return f"mamba-ssm {self.package.version}/{self.path}"
