"""The minimal gated recurrent unit (arXiv 2410.01201)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops import gated_average
from ..ops.log_scan import gated_average_log_scan, gated_average_reference
from .padding import StepMixer


class MinGRU(StepMixer):
    """h_t = (1 - z_t) h_{t-1} + z_t g(W_h x_t + b_h), z_t = sigmoid(W_z x_t + b_z); the output is h_t.

    state_size: expand times the width.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, expand: int):
        super().__init__()
        self.state_size: int = expand * width
        with seeded_torch(generator):
            self.gate = nn.Linear(width, expand * width)
            self.candidate = nn.Linear(width, expand * width)
            self.out = nn.Identity() if expand == 1 else nn.Linear(expand * width, width)

    def mix(self, x: Steps) -> Steps:
        given = self.gate(x), self.candidate(x)
        if gated_average.CPP.serves(*given):
            self.path = gated_average.CPP.name
            return self.out(gated_average.gated_average_cpp(*given))
        self.path = "log-space scan"
        return self.out(gated_average_log_scan(*given))

    def mix_plainly(self, x: Steps) -> Steps:
        return self.out(gated_average_reference(self.gate(x), self.candidate(x)))

    def uncounted_flops(self, length: int) -> int:
        """The recurrence's 1 - z, two products and a sum for each part of the state; the scan does a few times that."""
        return 4 * length * self.state_size

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        return self.gate.weight

    def decays(self, x: Steps) -> Float[Tensor, "batch length state"]:
        """1 - z_t of every part of the state."""
        return torch.sigmoid(-self.gate(x))
