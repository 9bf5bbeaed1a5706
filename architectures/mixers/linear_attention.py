"""Linear attention (arXiv 2006.16236) and gated linear attention (arXiv 2312.06635)."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from harness.errors import UserError
from harness.seeds import seeded_torch

from ..kernels.flash import GATED_LINEAR, LINEAR
from ..kernels.linear_attention import gated_linear_chunked, gated_linear_reference, linear_chunked, linear_reference
from .flash_mixer import FlashMixer
from .padding import without_padding

LINEAR_CHUNK = 32
GATED_CHUNK = 16
TEMPERATURE = 16  # tau of arXiv 2312.06635, section 4.4


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Neighbouring channels belong to one head."""
    return rearrange(x, "batch length (heads channels) -> batch heads length channels", heads=heads)


def join_heads(x: Tensor) -> Tensor:
    """The inverse of `split_heads`."""
    return rearrange(x, "batch heads length channels -> batch length (heads channels)")


class LinearAttention(FlashMixer):
    """Causal linear attention with phi(x) = elu(x) + 1 (arXiv 2006.16236, Eqs. 7 and 9-12).

    state_size: a head carries S, channels x channels, and z, channels.
    """

    causal = True
    flash = LINEAR

    def __init__(self, width: int, generator: torch.Generator, heads: int = 4):
        super().__init__()
        if width % heads:
            raise UserError(f"linear-attention: heads must divide the width {width}, got heads={heads}")
        self.heads = heads
        channels = width // heads
        self.states = self.state_size = heads * channels * (channels + 1)
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        plain = functools.partial(linear_chunked, chunk=LINEAR_CHUNK)
        return self.out(join_heads(self.recur(plain, f"linear chunk {LINEAR_CHUNK}", *self._project(x, mask))))

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        return self.out(join_heads(linear_reference(*self._project(x, mask))))

    def _project(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(without_padding(x, mask)).chunk(3, dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)


class GatedLinearAttention(FlashMixer):
    """The layer of arXiv 2312.06635, section 4.4: d_k = width / 2, d_v = width, one state of d_k x d_v a head.

        alpha_t = sigmoid(x_t W_down W_up + b)^(1/16),  S_t = Diag(alpha_t) S_{t-1} + k_t^T v_t,  o_t = q_t S_t
        y_t = (swish(x_t W_r + b_r) * norm(o_t)) W_O

    The norm is the root mean square norm of the authors' code, over the channels of a head and with weights that the
    heads share; the paper prints LN. Queries are not scaled: the norm takes a scale out again.

    state_size: d_k d_v over heads.
    """

    causal = True
    flash = GATED_LINEAR

    def __init__(self, width: int, generator: torch.Generator, heads: int = 4, rank: int = 16):
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

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        log_alpha = F.logsigmoid(self._gate_input(x).double()) / TEMPERATURE
        plain = functools.partial(gated_linear_chunked, chunk=GATED_CHUNK)
        mixed = self.recur(plain, f"gated linear chunk {GATED_CHUNK}", *self._project(x), log_alpha)
        return self._read_out(x, mixed)

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        alpha = torch.sigmoid(self._gate_input(x)) ** (1 / TEMPERATURE)
        return self._read_out(x, gated_linear_reference(*self._project(x), alpha))

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        return self.gate_up.weight @ self.gate_down.weight

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length heads channels"]:
        """alpha_t of every channel of a key."""
        alpha = torch.sigmoid(self._gate_input(x)) ** (1 / TEMPERATURE)
        return rearrange(alpha, "batch heads length channels -> batch length heads channels")

    def _gate_input(self, x: Tensor) -> Tensor:
        """What alpha is the sigmoid of, [batch, heads, length, channels of a key]."""
        return split_heads(self.gate_up(self.gate_down(x)), self.heads)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(x).split([self.key_width, self.key_width, x.shape[2]], dim=-1)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)

    def _read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        normed = self.norm(mixed.to(self.norm.weight.dtype))  # norms stay in float32 under autocast
        return self.out(F.silu(self.output_gate(x)) * join_heads(normed))
