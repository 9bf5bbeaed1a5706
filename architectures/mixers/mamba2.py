"""Mamba-2 as a mixer: mamba-ssm's own block and kernels for CUDA tensors, else the same in plain torch."""

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
from ..kernels.scalar_decay import scalar_decay_chunked, scalar_decay_reference
from .mamba2_block import Mamba2Block, run_block, step_sizes
from .mamba_package import load_privately
from .padding import without_padding

CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class Mamba2Package:
    """What was found of mamba-ssm. convolution: causal-conv1d is there, which the one-kernel path needs."""

    version: str
    block: type[nn.Module]
    convolution: bool


@functools.cache
def mamba2_package() -> Mamba2Package | None:
    """mamba-ssm's Mamba2, whose kernels are Triton's; None where there is no CUDA or it does not import."""
    if not torch.cuda.is_available():
        return None
    try:
        module: Any = load_privately("mamba_ssm.modules.mamba2")
        version = importlib.metadata.version("mamba-ssm")
    except Exception:  # a missing or broken package of someone else's: the plain block takes over and says so
        return None
    convolution = module.causal_conv1d_fn is not None
    module.causal_conv1d_fn = None  # off its one-kernel path the block then takes torch's, which has any number of taps
    return Mamba2Package(version=version, block=module.Mamba2, convolution=convolution)


class Mamba2(Mixer):
    """One Mamba-2 block (arXiv 2405.21060, section 7.1).

    state_size: per channel its state, and the inputs that the convolution still needs.
    """

    causal = True

    def __init__(
        self, width: int, generator: torch.Generator, state: int = 64, conv: int = 4, expand: int = 2, headdim: int = 16
    ):
        super().__init__()
        channels = expand * width
        if channels % headdim:
            raise UserError(
                f"mamba2: headdim must divide expand * width = {expand} * {width} = {channels}, got headdim={headdim};"
                f" change headdim, expand or the width"
            )
        self.package = mamba2_package()
        self.path = "not run"
        self.state_size = channels * state + (channels + 2 * state) * (conv - 1)
        with seeded_torch(generator):
            build = Mamba2Block if self.package is None else self.package.block
            self.block: Any = build(d_model=width, d_state=state, d_conv=conv, expand=expand, headdim=headdim)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        function = self._package_function(x)
        self.path = function or f"state space duality chunk {CHUNK}"
        if function is None:
            return run_block(self.block, x, functools.partial(scalar_decay_chunked, chunk=CHUNK))
        self.block.use_mem_eff_path = function == "mamba_split_conv1d_scan_combined"
        return self.block(x)

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        return run_block(self.block, without_padding(x, mask), scalar_decay_reference)

    def gate_directions(self) -> Float[Tensor, "heads width"]:
        """The rows of in_proj that give each head's step size; no convolution stands between."""
        return self.block.in_proj.weight[-len(self.block.A_log) :]

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length heads"]:
        """exp(Delta_t A) of every head."""
        step_size = step_sizes(self.block, x @ self.gate_directions().mT)
        return torch.exp(-torch.exp(self.block.A_log) * step_size)

    def uncounted_flops(self, length: int) -> int:
        """None in torch, where the scan is made of products. In mamba-ssm's kernels the recurrence's: one to decay a
        state, two to add the input, two for its product with C; Delta u and two for D u a channel; and the convolution.
        """
        if not self.path.startswith("mamba_"):
            return 0
        taps, convolved = self.block.conv1d.kernel_size[0], self.block.conv1d.in_channels
        channels, state = self.block.out_proj.in_features, self.block.d_state
        convolution = 2 * taps * convolved if self.path == "mamba_split_conv1d_scan_combined" else 0
        return length * (channels * (5 * state + 3) + convolution)

    def _package_function(self, x: Tensor) -> str | None:
        """Which of mamba-ssm's functions serves these tensors."""
        if self.package is None or not x.is_cuda or x.dtype == torch.float64:
            return None
        taps, convolved = self.block.conv1d.kernel_size[0], self.block.conv1d.in_channels
        if self.package.convolution and 2 <= taps <= 4 and convolved % 8 == 0:
            return "mamba_split_conv1d_scan_combined"
        return "mamba_chunk_scan_combined" if taps > 1 else None

    @property
    def kernel(self) -> str:
        if self.package is not None and self.path.startswith("mamba_"):
            return f"mamba-ssm {self.package.version}/{self.path}"
        return torch_kernel(self.path)
