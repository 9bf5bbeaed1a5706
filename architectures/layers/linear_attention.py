"""Linear attention (arXiv 2006.16236) and gated linear attention (arXiv 2312.06635)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.norm import rms_norm
from harness.contracts.seeds import seeded_torch

from ..ops import matrix_scan, scalar_scan
from ..ops.flash import GATED_LINEAR, LINEAR
from ..ops.linear_attention import (
    GATED_CHUNK,
    LINEAR_CHUNK,
    gated_linear_chunked,
    gated_linear_cpp,
    gated_linear_reference,
    linear_chunked,
    linear_cpp,
    linear_reference,
)
from ..ops.recurrence import Recurrence
from .recurrence_mixer import RecurrenceMixer

TEMPERATURE = 16  # tau of arXiv 2312.06635, section 4.4


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Neighbouring channels belong to one head."""
    return rearrange(x, "batch length (heads channels) -> batch heads length channels", heads=heads)


def join_heads(x: Tensor) -> Tensor:
    """The inverse of `split_heads`."""
    return rearrange(x, "batch heads length channels -> batch length (heads channels)")


def gated_read_out(mixer: Any, x: Tensor, mixed: Tensor) -> Tensor:
    """(swish(output_gate(x)) * norm(mixed)) W_O by the mixer's modules of these names, in float32 under autocast."""
    norm, heads = mixer.norm, mixed.shape[1]
    joined, gate = (tensor.to(norm.weight.dtype) for tensor in (join_heads(mixed), mixer.output_gate(x)))
    return mixer.out(rms_norm(joined, norm.weight, norm.eps, groups=heads, gate=gate))


class LinearAttention(RecurrenceMixer):
    """Causal linear attention with phi(x) = elu(x) + 1 (arXiv 2006.16236, Eqs. 7 and 9-12).

    state_size: a head carries S, channels x channels, and z, channels.
    """

    causal = True
    recurrence = Recurrence(
        operator=scalar_scan.CPP,
        cpp=linear_cpp,
        chunked=linear_chunked,
        name=f"linear chunk {LINEAR_CHUNK}",
        flash=LINEAR,
        flops=4,  # two to write a number, two to read it
    )

    def __init__(self, width: int, generator: torch.Generator, heads: int):
        super().__init__()
        if width % heads:
            raise UserError(f"linear-attention: heads must divide the width {width}, got heads={heads}")
        self.heads = heads
        channels = width // heads
        self.states = self.state_size = heads * channels * (channels + 1)
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

    def mix(self, x: Steps) -> Steps:
        return self.out(join_heads(self.recur(*self._project(x))))

    def mix_plainly(self, x: Steps) -> Steps:
        return self.out(join_heads(linear_reference(*self._project(x))))

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return q, k, v


class GatedLinearAttention(RecurrenceMixer):
    """The layer of arXiv 2312.06635, section 4.4: d_k = width / 2, d_v = width, one state of d_k x d_v a head.

        alpha_t = sigmoid(x_t W_down W_up + b)^(1/16),  S_t = Diag(alpha_t) S_{t-1} + k_t^T v_t,  o_t = q_t S_t
        y_t = (swish(x_t W_r + b_r) * norm(o_t)) W_O

    The norm is the root mean square norm of the authors' code, over the channels of a head and with weights that the
    heads share; the paper prints LN. Queries are not scaled: the norm takes a scale out again.

    state_size: d_k d_v over heads.
    """

    causal = True
    recurrence = Recurrence(
        operator=matrix_scan.CPP,
        cpp=gated_linear_cpp,
        chunked=gated_linear_chunked,
        name=f"gated linear chunk {GATED_CHUNK}",
        flash=GATED_LINEAR,
        flops=5,  # a number decays; two to write and to read it
    )

    def __init__(self, width: int, generator: torch.Generator, heads: int, rank: int):
        super().__init__()
        if width % (2 * heads):
            raise UserError(
                f"gated-linear-attention: twice the heads must divide the width {width} (keys are half as wide), got"
                f" heads={heads}; change heads or width"
            )
        self.heads = heads
        self.key_width = width // 2
        self.states = self.state_size = self.key_width * width // heads
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 2 * self.key_width + width, bias=False)
            self.gate_down = nn.Linear(width, rank, bias=False)
            self.gate_up = nn.Linear(rank, self.key_width)
            self.output_gate = nn.Linear(width, width)
            self.norm = nn.RMSNorm(width // heads, eps=1e-5)
            self.out = nn.Linear(width, width, bias=False)

    def mix(self, x: Steps) -> Steps:
        gate = self._gate_input(x)
        log_alpha = F.logsigmoid(gate.to(torch.promote_types(gate.dtype, torch.float32))) / TEMPERATURE
        return gated_read_out(self, x, self.recur(*self._project(x), log_alpha))

    def mix_plainly(self, x: Steps) -> Steps:
        alpha = torch.sigmoid(self._gate_input(x)) ** (1 / TEMPERATURE)
        return gated_read_out(self, x, gated_linear_reference(*self._project(x), alpha))

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        return self.gate_up.weight @ self.gate_down.weight

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads channels"]:
        """alpha_t of every channel of a key."""
        alpha = torch.sigmoid(self._gate_input(x)) ** (1 / TEMPERATURE)
        return rearrange(alpha, "batch heads length channels -> batch length heads channels")

    def _gate_input(self, x: Tensor) -> Tensor:
        """What alpha is the sigmoid of, [batch, heads, length, channels of a key]."""
        return split_heads(self.gate_up(self.gate_down(x)), self.heads)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(x).split([self.key_width, self.key_width, x.shape[2]], dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)
