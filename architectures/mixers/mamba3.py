"""Mamba-3 as a mixer: mamba-ssm's own block, for CUDA tensors only."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.errors import Unsupported, UserError
from harness.mixer import Mixer
from harness.seeds import seeded_torch

from .mamba_package import load_privately
from .padding import without_padding

CURE = "run it on a CUDA machine with mamba-ssm 2.3 or later and Triton installed, or take mamba2"


@functools.cache
def mamba3_block() -> Any:
    """mamba-ssm's Mamba3 class.

    Raises:
        Unsupported: no CUDA device, or it does not import.
    """
    if not torch.cuda.is_available():
        raise Unsupported("mamba3 has Triton kernels only, and torch finds no CUDA device", CURE)
    try:
        module: Any = load_privately("mamba_ssm.modules.mamba3")
    except Exception as error:  # a missing or broken package of someone else's
        reason = f"mamba3 is mamba-ssm's, which does not import: {type(error).__name__}: {error}"
        raise Unsupported(reason, CURE) from error
    return module.Mamba3


class Mamba3(Mixer):
    """One Mamba-3 block of mamba-ssm.

    state_size: per channel its state, and a head's angles, last key and last value.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, state: int = 64, expand: int = 2, headdim: int = 16):
        super().__init__()
        channels = expand * width
        if channels % headdim or headdim & (headdim - 1) or state & (state - 1):
            raise UserError(
                f"mamba3: headdim and state are powers of two, and headdim divides expand * width = {channels}; got"
                f" headdim={headdim}, state={state}; change headdim, state, expand or the width"
            )
        build = mamba3_block()
        with seeded_torch(generator):
            self.block: Any = build(d_model=width, d_state=state, expand=expand, headdim=headdim)
        heads = channels // headdim
        self.state_size = channels * state + heads * (self.block.num_rope_angles + state + headdim)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        if not x.is_cuda:
            raise Unsupported(f"mamba3 has CUDA kernels only, got tensors on the {x.device}", CURE)
        return self.block(without_padding(x, mask))

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """The rows of in_proj that give each head's step size, then its rate; nothing stands between."""
        return self.block.in_proj.weight[self._gate_rows()]

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length heads"]:
        """exp(Delta_t A_t) of every head, both of which the token sets."""
        step, rate = (x @ self.gate_directions().mT).chunk(2, dim=-1)
        rate = F.softplus(rate).clamp(min=self.block.A_floor)
        return torch.exp(-rate * F.softplus(step + self.block.dt_bias))

    def uncounted_flops(self, length: int) -> int:
        """The recurrence's, all of which is in kernels: one to decay a state, two to add this input and two the one
        before, two for its product with C; Delta u and two for D u a channel.
        """
        return length * self.block.d_inner * (7 * self.block.d_state + 3)

    def _gate_rows(self) -> slice:
        """in_proj gives z, x, B, C, step sizes, rates, and more."""
        block = self.block
        start = 2 * block.d_inner + 2 * block.d_state * block.num_bc_heads * block.mimo_rank
        return slice(start, start + 2 * block.nheads)

    @property
    def kernel(self) -> str:
        return f"mamba-ssm {importlib.metadata.version('mamba-ssm')}/mamba3_siso_combined"
