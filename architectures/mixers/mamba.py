"""Mamba as a mixer: mamba-ssm's own block where the package imports, else the same in plain torch."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.mixer import Mixer
from harness.seeds import seeded_torch

from ..kernels.names import torch_kernel
from ..kernels.selective_scan import last_path, selective_scan_reference
from .mamba_block import MambaBlock, run_block
from .mamba_package import mamba_package
from .padding import without_padding


class Mamba(Mixer):
    """One Mamba block (arXiv 2312.00752, section 3.4).

    state_size: per channel, the state and the inputs that the convolution still needs.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, state: int = 16, conv: int = 4, expand: int = 2):
        super().__init__()
        self.package = mamba_package()
        self.path = "not run"
        self.channels, self.state = expand * width, state
        self.state_size = self.channels * (state + conv - 1)
        with seeded_torch(generator):
            build = MambaBlock if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, d_conv=conv, expand=expand)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        fused = self.package is not None and self.package.fused and x.is_cuda
        if self.package is not None:
            self.block.use_fast_path = fused
        y = self.block(without_padding(x, mask))
        self.path = "mamba_inner_fn" if fused else last_path()
        return y

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        return run_block(self.block, without_padding(x, mask), selective_scan_reference)

    def uncounted_flops(self, length: int) -> int:
        """The selective scan's: Delta A, its exponential, (Delta u) B, two for the state, two for its product with C
        a state; Delta u and two for D u a channel.
        """
        return length * self.channels * (7 * self.state + 3)

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        """Rows of dt_proj . x_proj . in_proj, the path from a token to each channel's step size.

        The convolution and its activation, which stand between in_proj and x_proj, are left out.
        """
        block = self.block
        channels, rank = block.dt_proj.out_features, block.dt_proj.in_features
        return block.dt_proj.weight @ block.x_proj.weight[:rank] @ block.in_proj.weight[:channels]

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length channels state"]:
        """exp(Delta_t A) of every channel and state."""
        block = self.block
        inputs = block.in_proj(x).transpose(1, 2).chunk(2, dim=1)[0]
        inputs = torch.nn.functional.silu(block.conv1d(inputs)[..., : x.shape[1]])
        rates = block.x_proj(inputs.transpose(1, 2))[..., : block.dt_proj.in_features]
        step_size = torch.nn.functional.softplus(block.dt_proj(rates))
        return torch.exp(-step_size[..., None] * torch.exp(block.A_log))

    @property
    def kernel(self) -> str:
        return torch_kernel(self.path) if self.package is None else f"mamba-ssm {self.package.version}/{self.path}"
