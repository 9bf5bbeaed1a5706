"""Mamba-3 as a mixer: mamba-ssm's own block and kernels for CUDA tensors, else the same in plain torch."""

from __future__ import annotations

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
from ..ops.recurrence import Recurrence
from ..ops.scalar_scan import Turn
from ..ops.trapezoidal import CHUNK, trapezoidal_chunked, trapezoidal_cpp, trapezoidal_reference
from .linear_attention import join_heads, split_heads
from .mamba2 import drawn_step_biases, step_sizes
from .mamba_package import triton_package
from .recurrence_mixer import RecurrenceMixer


class Mamba3Block(nn.Module):
    """Projection, norms and biases of B and C, which turn, trapezoidal scan, gate, projection, in plain torch.

    Names and shapes of parameters and the order of random draws are those of mamba-ssm's `Mamba3` with `is_mimo=False`
    and `is_outproj_norm=False`: state dicts load both ways, and one seed gives one initialization.

    Args:
        d_model: width of a token. d_state: state per channel, half of which turns. expand: channels are
        `expand * d_model`. headdim: channels a head.
    """

    def __init__(self, d_model: int, d_state: int = 128, expand: int = 2, headdim: int = 64):
        super().__init__()
        self.d_inner, self.d_state = expand * d_model, d_state
        self.nheads = self.d_inner // headdim
        self.num_rope_angles = d_state // 4
        self.A_floor = 1e-4
        self.in_proj = nn.Linear(d_model, sum(projected(self)), bias=False)
        self.dt_bias = nn.Parameter(drawn_step_biases(self.nheads))
        self.B_bias = nn.Parameter(torch.ones(self.nheads, 1, d_state))
        self.C_bias = nn.Parameter(torch.ones(self.nheads, 1, d_state))
        self.B_norm = nn.RMSNorm(d_state, eps=1e-5)
        self.C_norm = nn.RMSNorm(d_state, eps=1e-5)
        self.D = nn.Parameter(torch.ones(self.nheads))
        for parameter in (self.dt_bias, self.D):  # mamba-ssm marks these for training loops that leave out weight decay
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def forward(self, x: Steps) -> Steps:
        return run_block(self, x, trapezoidal_chunked)


def projected(block: Any) -> list[int]:
    """What in_proj gives, in this order: z, x, B, C, step sizes, rates, lambdas, angles."""
    heads = block.nheads
    return [block.d_inner, block.d_inner, block.d_state, block.d_state, heads, heads, heads, block.num_rope_angles]


def log_decays(
    block: Any, step_size: Float[Tensor, "batch length heads"], rate: Float[Tensor, "batch length heads"]
) -> Float[Tensor, "batch length heads"]:
    """Delta_t A_t, both of which the token sets."""
    return -F.softplus(rate.to(step_size.dtype)).clamp(min=block.A_floor) * step_size


def run_block(block: Any, x: Steps, scan: Callable[..., Tensor]) -> Steps:
    """The block's map with any scan (queries, keys, values, log decays, step sizes, lambdas, turn); a
    Mamba3Block's or mamba-ssm's Mamba3's.
    """
    z, inputs, B, C, step, rate, trapezoid, angles = block.in_proj(x).split(projected(block), dim=-1)
    step_size = step_sizes(block, step)
    log_decay = log_decays(block, step_size, rate).mT
    step_size = step_size.mT
    # Sums over the whole sequence, in float64 whatever the inputs are and brought back to one turn.
    angle = (step_size[..., None] * (math.pi * torch.tanh(angles.to(step_size.dtype)))[:, None]).double().cumsum(-2)
    angle = angle.remainder(2 * math.pi).to(step_size.dtype)
    # norms stay in float32 under autocast
    B = rms_norm(B.to(block.B_norm.weight.dtype), block.B_norm.weight, block.B_norm.eps)
    C = rms_norm(C.to(block.C_norm.weight.dtype), block.C_norm.weight, block.C_norm.eps)
    inputs = split_heads(inputs, block.nheads)
    turn = Turn(block.C_bias[:, 0], block.B_bias[:, 0], angle)
    y = scan(
        C[:, None], B[:, None], inputs, log_decay, step_size, torch.sigmoid(trapezoid.to(step_size.dtype)).mT, turn
    )
    y = join_heads(y + block.D[:, None, None] * inputs) * F.silu(z)
    return block.out_proj(y)


class Mamba3(RecurrenceMixer):
    """One Mamba-3 block (arXiv 2603.15569), single-input form.

    state_size: per channel its state, and a head's angles, last key and last value.
    """

    causal = True
    recurrence = Recurrence(
        operator=scalar_scan.CPP,
        cpp=trapezoidal_cpp,
        chunked=trapezoidal_chunked,
        name=f"trapezoidal chunk {CHUNK}",
        flops=5,  # a number decays; two to write and to read it: both inputs of a step are written as one
    )

    def __init__(self, width: int, generator: torch.Generator, state: int, expand: int, headdim: int):
        super().__init__()
        channels = expand * width
        if channels % headdim or headdim & (headdim - 1) or state & (state - 1):
            raise UserError(
                f"mamba3: headdim and state are powers of two, and headdim divides expand * width = {channels}; got"
                f" headdim={headdim}, state={state}; change headdim, state, expand or the width"
            )
        self.package = triton_package("Mamba3")
        with seeded_torch(generator):
            build = Mamba3Block if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, expand=expand, headdim=headdim)
        heads = channels // headdim
        self.states = channels * state
        self.state_size = self.states + heads * (self.block.num_rope_angles + state + headdim)

    def mix(self, x: Steps) -> Steps:
        if self.package is None or not x.is_cuda or x.dtype == torch.float64:
            return run_block(self.block, x, self.recur)
        self.path = "mamba3_siso_combined"
        return self.block(x)

    def mix_plainly(self, x: Steps) -> Steps:
        return run_block(self.block, x, trapezoidal_reference)

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """The rows of in_proj that give each head's step size, then its rate; nothing stands between."""
        start = sum(projected(self.block)[:4])
        return self.block.in_proj.weight[start : start + 2 * self.block.nheads]

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads"]:
        """exp(Delta_t A_t) of every head, both of which the token sets."""
        step, rate = (x @ self.gate_directions().mT).chunk(2, dim=-1)
        return torch.exp(log_decays(self.block, step_sizes(self.block, step), rate))

    def uncounted_flops(self, length: int) -> int:
        """In mamba-ssm's kernels the recurrence's: one to decay a state, two to add this input and two the one before,
        two for its product with C; Delta u and two for D u a channel.
        """
        if self.path != "mamba3_siso_combined":
            return super().uncounted_flops(length)
        return length * self.block.d_inner * (7 * self.block.d_state + 3)

    @property
    def kernel(self) -> str:
        if self.package is not None and self.path == "mamba3_siso_combined":
            return f"mamba-ssm {self.package.version}/{self.path}"
        return super().kernel
