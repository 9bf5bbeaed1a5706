"""RWKV-7's time mixing (arXiv 2503.14456, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.norm import group_norm
from harness.contracts.seeds import seeded_torch

from ..ops import matrix_scan
from ..ops.flash import WKV7
from ..ops.recurrence import Recurrence
from ..ops.wkv7 import CHUNK, LOWEST_LOG_DECAY, wkv7_chunked, wkv7_cpp, wkv7_reference
from .gated_deltanet import of_norm_one
from .linear_attention import join_heads, split_heads
from .recurrence_mixer import RecurrenceMixer

# How fast the share of the token before falls from the first channel to the last, by input; as the authors start.
SHIFTS = {"query": 0.2, "decay": 0.9, "key": 0.7, "value": 0.7, "rate": 0.9, "gate": 0.2}


class RWKV7(RecurrenceMixer):
    """Time mixing of tokens, each input of which mixes the token with the one before by learned shares.

        r_t, k_t, v_t = x W,   a_t = sigmoid(x W W' + b),   g_t = sigmoid(x W) W',
        w_t = exp(-e^(-1/2) sigmoid(d_t)),   d_t = tanh(x W) W' + b,
        khat_t = (xi * k_t) of norm 1,   ktilde_t = k_t * (1 + alpha * (a_t - 1)),
        S_t = S_{t-1} (diag(w_t) - khat_t^T (a_t * khat_t)) + v_t^T ktilde_t,
        y_t = (g_t * (GroupNorm(r_t S_t^T) + (r_t . (rho * ktilde_t)) v_t)) W_O

    state_size: a head carries channels x channels, and all of them the token before.
    """

    causal = True
    recurrence = Recurrence(
        operator=matrix_scan.CPP,
        cpp=wkv7_cpp,
        chunked=wkv7_chunked,
        name=f"wkv7 chunk {CHUNK}",
        flash=WKV7,
        flops=9,  # a number decays; two to write, to read, to find what is held under a key, and to remove it
    )

    def __init__(self, width: int, generator: torch.Generator, heads: int, rank: int):
        super().__init__()
        if width % heads or width == heads:
            raise UserError(
                f"rwkv7: heads must divide the width {width} and leave at least two channels each, got heads={heads};"
                f" change heads or width"
            )
        self.heads = heads
        channels = width // heads
        self.states = width * channels
        self.state_size = self.states + width
        ramp = torch.arange(width) / (width - 1)
        within = 2 * torch.arange(channels) / (channels - 1) - 1  # -1 to 1 over the channels of a head
        within = (within * within.abs()).repeat(heads)
        with seeded_torch(generator):
            self.receptance, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
            self.decay_down, self.decay_up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width)
            self.rate_down, self.rate_up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width)
            self.gate_down, self.gate_up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=False)
            self.out = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            self.decay_up.bias.copy_(6 * ramp - 5.5 + 2.5 * within)
            self.rate_up.bias.copy_(0.4 * (ramp - 0.5) - 0.19 + 0.3 * within)
        channel = torch.arange(width) / width
        self.shift = nn.Parameter(torch.stack([1 - channel**power for power in SHIFTS.values()]))
        self.removal = nn.Parameter(0.71 - 0.1 * (ramp - 0.5))  # xi
        self.replacement = nn.Parameter(torch.full((width,), 1.02))  # alpha
        self.bonus = nn.Parameter(torch.full((heads, 1, channels), -0.04))  # rho
        self.norm = nn.GroupNorm(heads, width, eps=channels * 1e-5)

    def mix(self, x: Steps) -> Steps:
        return self._mix(x, self.recur)

    def mix_plainly(self, x: Steps) -> Steps:
        return self._mix(x, wkv7_reference)

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """The paths from a token to each channel's decay and learning rate.

        The decays' tanh, which stands between their two maps, and the share of the token before are left out.
        """
        share = dict(zip(SHIFTS, 1 - self.shift, strict=True))
        decay = self.decay_up.weight @ self.decay_down.weight * share["decay"]
        return torch.cat([decay, self.rate_up.weight @ self.rate_down.weight * share["rate"]])

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads channels"]:
        """w_t of every channel."""
        kept = self._log_decay(self._shifted(x)["decay"]).exp()
        return rearrange(kept, "batch heads length channels -> batch length heads channels")

    def chunked_flops(self, length: int) -> int:
        """The triangular systems': a product and a difference for each pair of a chunk's steps and each column."""
        return -(-length // CHUNK) * CHUNK * (CHUNK - 1) * 2 * self.out.in_features

    def _shifted(self, x: Tensor) -> dict[str, Tensor]:
        """The token mixed with the one before it, a share a channel, for each of the six inputs."""
        step = F.pad(x, (0, 0, 1, 0))[:, :-1] - x
        return {name: x + step * share for name, share in zip(SHIFTS, self.shift, strict=True)}

    def _log_decay(self, x: Tensor) -> Tensor:
        d = self.decay_up(torch.tanh(self.decay_down(x))).to(self.shift.dtype)
        return split_heads(LOWEST_LOG_DECAY * torch.sigmoid(d), self.heads)

    def _mix(self, x: Tensor, recur: Callable[..., Tensor]) -> Tensor:
        inputs = self._shifted(x)
        k = self.key(inputs["key"])
        rate = torch.sigmoid(self.rate_up(self.rate_down(inputs["rate"])))
        written = k * (1 + self.replacement * (rate - 1))
        removed = of_norm_one(k * self.removal, self.heads)
        r, v, removed, written, rate = (
            split_heads(part, self.heads)
            for part in (self.receptance(inputs["query"]), self.value(inputs["value"]), removed, written, rate)
        )
        mixed = recur(r, written, v, self._log_decay(inputs["decay"]), removed, -rate * removed)
        normed = group_norm(join_heads(mixed).to(self.norm.weight.dtype), self.norm)  # in float32 under autocast
        bonus = (r * self.bonus * written).sum(-1, keepdim=True) * v
        gate = self.gate_up(torch.sigmoid(self.gate_down(inputs["gate"])))
        return self.out(gate * (normed + join_heads(bonus)))
