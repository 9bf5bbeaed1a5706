"""DeltaNet (arXiv 2406.06484) and gated DeltaNet (arXiv 2412.06464)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.norm import rms_norm
from harness.contracts.seeds import seeded_torch

from ..ops import matrix_scan
from ..ops.causal_conv import causal_conv, causal_conv_reference, depthwise_conv, uncounted_conv_flops
from ..ops.flash import DELTA, GATED_DELTA
from ..ops.gated_delta import (
    CHUNK,
    delta_chunked,
    delta_cpp,
    delta_reference,
    gated_delta_chunked,
    gated_delta_cpp,
    gated_delta_reference,
)
from ..ops.recurrence import Recurrence
from .linear_attention import gated_read_out, join_heads, split_heads
from .mamba2 import drawn_decays
from .recurrence_mixer import RecurrenceMixer


def of_norm_one(x: Float[Tensor, "batch length channels"], groups: int) -> Float[Tensor, "batch length channels"]:
    """Each group of neighbouring channels over its norm, as the authors' code: smooth at zero, where x / |x| is not.

    |x|^2 + 1e-6 is the mean square plus 1e-6 / size, times the size.
    """
    size = x.shape[-1] // groups
    return rms_norm(x, x.new_full((size,), size**-0.5), 1e-6 / size, groups=groups)


class DeltaNet(RecurrenceMixer):
    """The layer of arXiv 2406.06484, with a state of keys x values a head.

        q_t, k_t = SiLU(conv(x W)) of norm 1,  v_t = SiLU(conv(x W)),  beta_t = sigmoid(x_t W), or twice that,
        S_t = S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T,  o_t = S_t q_t,  y_t = norm(o_t) W_O

    state_size: the states, and the inputs that the convolutions still need.
    """

    name = "deltanet"
    gated = False
    causal = True
    recurrence = Recurrence(
        operator=matrix_scan.CPP,
        cpp=delta_cpp,
        chunked=delta_chunked,
        name=f"delta chunk {CHUNK}",
        flash=DELTA,
        flops=6,  # two to write a number, to read it, and to find what is held under a key
    )
    plain = staticmethod(delta_reference)

    def __init__(self, width: int, generator: torch.Generator, heads: int, conv: int, expand: int, eigenvalues: str):
        super().__init__()
        if width % heads:
            raise UserError(f"{self.name}: heads must divide the width {width}, got heads={heads}")
        self.heads = heads
        self.largest_beta = 2.0 if eigenvalues == "negative" else 1.0
        values = expand * width
        self.states = width * values // heads
        self.state_size = self.states + (2 * width + values) * max(conv - 1, 0)
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 2 * width + values, bias=False)
            self.gates = nn.Linear(width, (1 + self.gated) * heads, bias=False)  # alpha's, then beta's
            self.conv1d = depthwise_conv(self.qkv.out_features, conv, bias=False)
            if self.gated:
                self.dt_bias, self.A_log = drawn_decays(heads)
                self.output_gate = nn.Linear(width, values, bias=False)
            self.norm = nn.RMSNorm(values // heads, eps=1e-5)
            self.out = nn.Linear(values, width, bias=False)

    def mix(self, x: Steps) -> Steps:
        return self._read_out(x, self.recur(*self._project(x), *self._gate(x)))

    def mix_plainly(self, x: Steps) -> Steps:
        return self._read_out(x, self.plain(*self._project(x, causal_conv_reference), *self._gate(x)))

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """One a head for alpha, where there is one, then one a head for beta; no convolution stands between."""
        return self.gates.weight

    def chunked_flops(self, length: int) -> int:
        """The triangular systems': a product and a difference for each pair of a chunk's steps and each column."""
        return -(-length // CHUNK) * CHUNK * (CHUNK - 1) * (self.qkv.out_features - self.qkv.in_features)

    def uncounted_flops(self, length: int) -> int:
        return super().uncounted_flops(length) + uncounted_conv_flops(self.conv1d, length)

    def _gate(self, x: Tensor) -> tuple[Tensor, ...]:
        """beta, [batch, heads, length]."""
        return (self._beta(self.gates(x).mT),)

    def _beta(self, given: Tensor) -> Tensor:
        return self.largest_beta * torch.sigmoid(given)

    def _project(self, x: Tensor, conv: Callable[..., Tensor] = causal_conv) -> tuple[Tensor, Tensor, Tensor]:
        qk, v = conv(self.qkv(x), self.conv1d).split([2 * x.shape[2], self.out.in_features], dim=-1)
        q, k = of_norm_one(qk, 2 * self.heads).chunk(2, dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)

    def _read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        joined = join_heads(mixed).to(self.norm.weight.dtype)  # norms stay in float32 under autocast
        return self.out(rms_norm(joined, self.norm.weight, self.norm.eps, groups=self.heads))


class GatedDeltaNet(DeltaNet):
    """The token mixer of arXiv 2412.06464, Figure 1: the same with a decay and an output gate.

    alpha_t = exp(-exp(A_log) softplus(x_t W + dt_bias)),  S_t and o_t by Eq. 10,
    y_t = (norm(o_t) * SiLU(x_t W)) W_O
    """

    name = "gated-deltanet"
    gated = True
    recurrence = Recurrence(
        operator=matrix_scan.CPP,
        cpp=gated_delta_cpp,
        chunked=gated_delta_chunked,
        name=f"gated delta chunk {CHUNK}",
        flash=GATED_DELTA,
        flops=7,  # a number decays; two to write, to read, and to find what is held under a key
    )
    plain = staticmethod(gated_delta_reference)

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads"]:
        """alpha_t of every head."""
        return self._gate(x)[0].exp().mT

    def _gate(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logarithms of alpha, and beta, [batch, heads, length] each."""
        step, rate = self.gates(x).to(self.dt_bias.dtype).mT.chunk(2, dim=1)
        log_alpha = -torch.exp(self.A_log)[:, None] * F.softplus(step + self.dt_bias[:, None])
        return log_alpha, self._beta(rate)

    def _read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        return gated_read_out(self, x, mixed)
