"""RetNet's multi-scale retention (arXiv 2307.08621)."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.norm import group_norm
from harness.contracts.seeds import seeded_torch

from ..ops import scalar_scan
from ..ops.flash import RETENTION
from ..ops.recurrence import Recurrence
from ..ops.scalar_decay import CHUNK, scalar_decay_chunked, scalar_decay_cpp, scalar_decay_reference
from .linear_attention import join_heads, split_heads
from .positions import rotate
from .recurrence_mixer import RecurrenceMixer


class RetNet(RecurrenceMixer):
    """Multi-scale retention (Eq. 8), each head a recurrence with its own gamma (Eq. 6).

        S_t = gamma S_{t-1} + k_t^T v_t,  o_t = q_t S_t,  y_t = (swish(x_t W_G) * GroupNorm(o_t)) W_O

    Queries and keys turn by step times frequency (Eq. 5). The group norm's statistics are over the channels of
    a head at one step.

    state_size: a head carries keys x values.
    """

    causal = True
    recurrence = Recurrence(
        operator=scalar_scan.CPP,
        cpp=scalar_decay_cpp,
        chunked=scalar_decay_chunked,
        name=f"retention chunk {CHUNK}",
        flash=RETENTION,
        flops=5,  # a number decays; two to write and to read it
    )

    def __init__(self, width: int, generator: torch.Generator, heads: int, expand: int):
        super().__init__()
        if width % (2 * heads):
            raise UserError(
                f"retnet: twice the heads must divide the width {width} (pairs of channels turn together), got"
                f" heads={heads}; change heads or width"
            )
        self.heads = heads
        values = expand * width
        self.states = self.state_size = width * values // heads
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 2 * width + values, bias=False)
            self.output_gate = nn.Linear(width, values, bias=False)
            self.norm = nn.GroupNorm(heads, values)
            self.out = nn.Linear(values, width, bias=False)

    def mix(self, x: Steps) -> Steps:
        return self._read_out(x, self.recur(*self._project(x), self._log_decay(x)))

    def mix_plainly(self, x: Steps) -> Steps:
        return self._read_out(x, scalar_decay_reference(*self._project(x), self._log_decay(x)))

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads"]:
        """The gammas, which no token changes."""
        kept = rearrange(self._log_decay(x), "one heads length -> one length heads").exp().to(x.dtype)
        return kept.expand(len(x), -1, -1)

    def _log_decay(self, x: Tensor) -> Float[Tensor, "1 heads length"]:
        """log(1 - 2^(-5-h)), float64: a float32 gamma would be 1 from the twentieth head on."""
        head = torch.arange(self.heads, dtype=torch.float64, device=x.device)
        return torch.log1p(-torch.exp2(-5 - head))[None, :, None].expand(-1, -1, x.shape[1])

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        width = x.shape[2]
        q, k, v = self.qkv(x).split([width, width, self.out.in_features], dim=-1)
        k = k * (width // self.heads) ** -0.5
        return rotate(split_heads(q, self.heads)), rotate(split_heads(k, self.heads)), split_heads(v, self.heads)

    def _read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        dtype = self.norm.weight.dtype  # norms stay in float32 under autocast
        return self.out(group_norm(join_heads(mixed).to(dtype), self.norm, gate=self.output_gate(x).to(dtype)))
