"""The S4D layer (arXiv 2206.11893)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.diagonal_ssm import diagonal_convolution, diagonal_reference
from ..ops.long_conv import fft_flops
from .padding import StepMixer

SHORTEST_STEP, LONGEST_STEP = 0.001, 0.1


class S4D(StepMixer):
    """A diagonal state space model a channel, then W_O (GELU(y + D u)) with a gated linear unit.

    state_size: N real numbers a channel, which are N / 2 complex ones.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, state: int, initialization: str):
        super().__init__()
        if state % 2:
            raise UserError(f"s4d: the state counts pairs of conjugates, got state={state}; give an even number")
        self.state_size = width * state
        with seeded_torch(generator):
            spread = math.log(LONGEST_STEP / SHORTEST_STEP)
            self.log_step_size = nn.Parameter(torch.rand(width) * spread + math.log(SHORTEST_STEP))
            # A standard complex normal: its real and imaginary part have variance 1/2.
            self.c = nn.Parameter(torch.randn(width, state // 2, 2) * math.sqrt(0.5))
            self.d = nn.Parameter(torch.randn(width))
            self.out = nn.Linear(width, 2 * width)
        self.log_decay = nn.Parameter(torch.full((width, state // 2), math.log(0.5)))
        self.frequency = nn.Parameter(frequencies(state, initialization).repeat(width, 1))
        for parameter in (self.log_decay, self.frequency):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]

    def mix(self, x: Steps) -> Steps:
        self.path = "vandermonde fft"
        return self._read_out(x, diagonal_convolution(x, *self._system()))

    def mix_plainly(self, x: Steps) -> Steps:
        return self._read_out(x, diagonal_reference(x, *self._system()))

    def uncounted_flops(self, length: int) -> int:
        """The convolution's."""
        return fft_flops(len(self.d), length)

    def decays(self, x: Steps) -> Float[Tensor, "batch length width state"]:
        """|exp(Delta A)|, the same at every step."""
        kept = torch.exp(-self.log_decay.exp() * self.log_step_size.exp()[:, None])
        return kept.expand(*x.shape[:2], -1, -1)

    def _system(self) -> tuple[Complex[Tensor, "width state"], Complex[Tensor, "width state"], Float[Tensor, " width"]]:
        """A, C and Delta in double precision."""
        a = torch.complex(-self.log_decay.double().exp(), self.frequency.double())
        return a, torch.view_as_complex(self.c.double()), self.log_step_size.double().exp()

    def _read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        return F.glu(self.out(F.gelu(mixed + self.d * x)), dim=-1)


def frequencies(state: int, initialization: str) -> Float[Tensor, " state"]:
    """The imaginary parts of A, one a pair of conjugates: S4D-Lin or S4D-Inv."""
    n = torch.arange(state // 2)
    return math.pi * n if initialization == "linear" else state / math.pi * (state / (2 * n + 1) - 1)
