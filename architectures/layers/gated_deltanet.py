"""Gated DeltaNet (arXiv 2412.06464)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.flash import GATED_DELTA
from ..ops.gated_delta import CHUNK, gated_delta_chunked, gated_delta_reference
from .flash_mixer import FlashMixer
from .linear_attention import gated_read_out, split_heads
from .mamba2 import drawn_decays


def of_norm_one(x: Tensor) -> Tensor:
    """`x` over the norm of its last axis, as the authors' code: smooth at zero, where x / |x| is not."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


class GatedDeltaNet(FlashMixer):
    """The token mixer of arXiv 2412.06464, Figure 1, with a state of keys x values a head.

        q_t, k_t = SiLU(conv(x W)) of norm 1,  v_t = SiLU(conv(x W)),  beta_t = sigmoid(x_t W),
        alpha_t = exp(-exp(A_log) softplus(x_t W + dt_bias)),  S_t and o_t by Eq. 10,
        y_t = (norm(o_t) * SiLU(x_t W)) W_O

    state_size: the states, and the inputs that the convolutions still need.
    """

    causal = True
    flash = GATED_DELTA

    def __init__(self, width: int, generator: torch.Generator, heads: int, conv: int, expand: int):
        super().__init__()
        if width % heads:
            raise UserError(f"gated-deltanet: heads must divide the width {width}, got heads={heads}")
        self.heads = heads
        values = expand * width
        self.states = width * values // heads
        self.state_size = self.states + (2 * width + values) * (conv - 1)
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 2 * width + values, bias=False)
            self.gates = nn.Linear(width, 2 * heads, bias=False)  # alpha's, then beta's
            convolved = self.qkv.out_features
            self.conv1d = nn.Conv1d(convolved, convolved, conv, groups=convolved, padding=conv - 1, bias=False)
            self.dt_bias, self.A_log = drawn_decays(heads)
            self.output_gate = nn.Linear(width, values, bias=False)
            self.norm = nn.RMSNorm(values // heads, eps=1e-5)
            self.out = nn.Linear(values, width, bias=False)

    def mix(self, x: Steps) -> Steps:
        mixed = self.recur(gated_delta_chunked, f"gated delta chunk {CHUNK}", *self._project(x), *self._gate(x))
        return gated_read_out(self, x, mixed)

    def mix_plainly(self, x: Steps) -> Steps:
        return gated_read_out(self, x, gated_delta_reference(*self._project(x), *self._gate(x)))

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """One a head for alpha, then one a head for beta; no convolution stands between."""
        return self.gates.weight

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads"]:
        """alpha_t of every head."""
        return self._gate(x)[0].exp().mT

    def plain_flops(self, length: int) -> int:
        """The triangular systems': a product and a difference for each pair of a chunk's steps and each column."""
        return -(-length // CHUNK) * CHUNK * (CHUNK - 1) * (self.conv1d.out_channels - self.qkv.in_features)

    def _gate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of alpha, and beta, [batch, heads, length] each."""
        step, rate = self.gates(x).to(self.dt_bias.dtype).mT.chunk(2, dim=1)
        log_alpha = -torch.exp(self.A_log)[:, None] * F.softplus(step + self.dt_bias[:, None])
        return log_alpha, torch.sigmoid(rate)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        length, width = x.shape[1:]
        mixed = F.silu(self.conv1d(self.qkv(x).mT)[..., :length].mT)
        q, k, v = (split_heads(part, self.heads) for part in mixed.split([width, width, self.out.in_features], dim=-1))
        return of_norm_one(q), of_norm_one(k), v
