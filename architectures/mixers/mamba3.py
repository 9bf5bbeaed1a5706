"""Mamba-3 as a mixer: mamba-ssm's own block and kernels for CUDA tensors, else the same in plain torch."""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from harness.errors import UserError
from harness.mixer import Mixer
from harness.seeds import seeded_torch

from ..kernels.names import torch_kernel
from ..kernels.trapezoidal import trapezoidal_chunked, trapezoidal_reference
from .mamba2_block import step_sizes
from .mamba3_block import Mamba3Block, log_decays, projected, run_block
from .mamba_package import load_privately
from .padding import without_padding

CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class Mamba3Package:
    """What was found of mamba-ssm."""

    version: str
    block: type[nn.Module]


@functools.cache
def mamba3_package() -> Mamba3Package | None:
    """mamba-ssm's Mamba3, whose kernels are Triton's; None where there is no CUDA or it does not import."""
    if not torch.cuda.is_available():
        return None
    try:
        module: Any = load_privately("mamba_ssm.modules.mamba3")
        version = importlib.metadata.version("mamba-ssm")
    except Exception:  # a missing or broken package of someone else's: the plain block takes over and says so
        return None
    return Mamba3Package(version=version, block=module.Mamba3)


class Mamba3(Mixer):
    """One Mamba-3 block (arXiv 2603.15569), single-input form.

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
        self.package = mamba3_package()
        self.path = "not run"
        with seeded_torch(generator):
            build = Mamba3Block if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, expand=expand, headdim=headdim)
        heads = channels // headdim
        self.state_size = channels * state + heads * (self.block.num_rope_angles + state + headdim)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        if self.package is None or not x.is_cuda or x.dtype == torch.float64:
            self.path = f"trapezoidal chunk {CHUNK}"
            return run_block(self.block, x, functools.partial(trapezoidal_chunked, chunk=CHUNK))
        self.path = "mamba3_siso_combined"
        return self.block(x)

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        return run_block(self.block, without_padding(x, mask), trapezoidal_reference)

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """The rows of in_proj that give each head's step size, then its rate; nothing stands between."""
        start = sum(projected(self.block)[:4])
        return self.block.in_proj.weight[start : start + 2 * self.block.nheads]

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length heads"]:
        """exp(Delta_t A_t) of every head, both of which the token sets."""
        step, rate = (x @ self.gate_directions().mT).chunk(2, dim=-1)
        return torch.exp(log_decays(self.block, step_sizes(self.block, step), rate))

    def uncounted_flops(self, length: int) -> int:
        """None in torch, where the scan is made of products. In mamba-ssm's kernels the recurrence's: one to decay a
        state, two to add this input and two the one before, two for its product with C; Delta u and two for D u a
        channel.
        """
        if self.path != "mamba3_siso_combined":
            return 0
        return length * self.block.d_inner * (7 * self.block.d_state + 3)

    @property
    def kernel(self) -> str:
        if self.package is not None and self.path == "mamba3_siso_combined":
            return f"mamba-ssm {self.package.version}/{self.path}"
        return torch_kernel(self.path)
