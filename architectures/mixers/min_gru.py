"""The minimal gated recurrent unit (arXiv 2410.01201)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from harness.mixer import Mixer
from harness.seeds import seeded_torch

from ..kernels.log_scan import gated_average_log_scan, gated_average_reference
from ..kernels.names import torch_kernel
from .padding import without_padding


class MinGRU(Mixer):
    """h_t = (1 - z_t) h_{t-1} + z_t g(W_h x_t + b_h), z_t = sigmoid(W_z x_t + b_z); the output is h_t.

    state_size: expand times the width.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, expand: int = 1):
        super().__init__()
        self.path = "not run"
        self.state_size: int = expand * width
        with seeded_torch(generator):
            self.gate = nn.Linear(width, expand * width)
            self.candidate = nn.Linear(width, expand * width)
            self.out = nn.Identity() if expand == 1 else nn.Linear(expand * width, width)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        self.path = "log-space scan"
        return self.out(gated_average_log_scan(self.gate(x), self.candidate(x)))

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        x = without_padding(x, mask)
        return self.out(gated_average_reference(self.gate(x), self.candidate(x)))

    def uncounted_flops(self, length: int) -> int:
        """The recurrence's 1 - z, two products and a sum for each part of the state; the scan does a few times that."""
        return 4 * length * self.state_size

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        return self.gate.weight

    def decays(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length state"]:
        """1 - z_t of every part of the state."""
        return torch.sigmoid(-self.gate(x))

    @property
    def kernel(self) -> str:
        return torch_kernel(self.path)
