"""The H3 layer (arXiv 2212.14052)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from einops import einsum, rearrange
from jaxtyping import Complex, Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.diagonal_ssm import diagonal_reference, discretized, vandermonde_kernel
from ..ops.long_conv import fft_convolution, fft_flops
from ..ops.shift_ssm import shift_kernel, shift_reference
from .padding import StepMixer
from .s4d import LONGEST_STEP, SHORTEST_STEP, frequencies


class H3(StepMixer):
    """y = W_O (q * SSM_diag(SSM_shift(k) * v)), each SSM with a term D u; products of a head's channels pair by pair.

    Heads are `headdim` neighbouring channels: k v^T of a head has headdim x headdim entries, which one diagonal model
    runs over, and q reads it as linear attention does.

    state_size: N numbers a channel for the shift; N real ones, which are N / 2 complex ones, a product for the other.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, state: int, headdim: int):
        super().__init__()
        if state % 2:
            raise UserError(f"h3: the state counts pairs of conjugates, got state={state}; give an even number")
        if width % headdim:
            raise UserError(f"h3: headdim must divide the width {width}, got headdim={headdim}")
        self.headdim = headdim
        heads = width // headdim
        self.state_size = width * state * (1 + headdim)
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 3 * width)
            self.shift_read = nn.Parameter((2 * torch.rand(width, state) - 1) * state**-0.5)
            self.shift_d = nn.Parameter(torch.randn(width))
            spread = math.log(LONGEST_STEP / SHORTEST_STEP)
            self.log_step_size = nn.Parameter(torch.rand(heads) * spread + math.log(SHORTEST_STEP))
            # A standard complex normal: its real and imaginary part have variance 1/2.
            self.c = nn.Parameter(torch.randn(heads, state // 2, 2) * math.sqrt(0.5))
            self.d = nn.Parameter(torch.randn(heads))
            self.out = nn.Linear(width, width)
        self.shift_written = nn.Parameter(torch.eye(1, state).repeat(width, 1))
        self.log_decay = nn.Parameter(torch.full((heads, state // 2), math.log(0.5)))
        self.frequency = nn.Parameter(frequencies(state, "linear").repeat(heads, 1))
        for parameter in (self.shift_written, self.log_decay, self.frequency):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]

    def mix(self, x: Steps) -> Steps:
        self.path = "shift and vandermonde fft"
        return self._gated(
            x,
            lambda k: fft_convolution(k, shift_kernel(self.shift_written, self.shift_read, x.shape[1])),
            lambda kv: fft_convolution(kv, self._of_products(vandermonde_kernel(*self._system(), x.shape[1], True), 1)),
        )

    def mix_plainly(self, x: Steps) -> Steps:
        a, c, step_size = self._system()
        system = self._of_products(a, 0), self._of_products(c, 0), self._of_products(step_size, 0)
        return self._gated(
            x,
            lambda k: shift_reference(k, self.shift_written, self.shift_read),
            lambda kv: diagonal_reference(kv, *system, bilinear=True),
        )

    def uncounted_flops(self, length: int) -> int:
        """Both convolutions'."""
        return fft_flops(self.qkv.in_features * (1 + self.headdim), length)

    def decays(self, x: Steps) -> Float[Tensor, "batch length heads state"]:
        """What the diagonal model keeps of its state, the same at every step."""
        a, _, step_size = self._system()
        return discretized(a, step_size, bilinear=True)[0].abs().to(x.dtype).expand(*x.shape[:2], -1, -1)

    def _gated(self, x: Tensor, shift: Callable[[Tensor], Tensor], diagonal: Callable[[Tensor], Tensor]) -> Tensor:
        size = self.headdim
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        k = shift(k) + self.shift_d * k
        q, k, v = (
            rearrange(part, "batch length (heads size) -> batch length heads size", size=size) for part in (q, k, v)
        )
        kv = rearrange(k[..., :, None] * v[..., None, :], "batch length heads one two -> batch length (heads one two)")
        held = diagonal(kv) + self._of_products(self.d, 0) * kv
        held = rearrange(held, "batch length (heads one two) -> batch length heads one two", one=size, two=size)
        y = einsum(q, held, "batch length heads one, batch length heads one two -> batch length heads two")
        return self.out(y.flatten(2).to(self.out.weight.dtype))

    def _of_products(self, values: Tensor, dim: int) -> Tensor:
        """A head's numbers for each of its products of channels."""
        return values.repeat_interleave(self.headdim**2, dim=dim)

    def _system(self) -> tuple[Complex[Tensor, "heads state"], Complex[Tensor, "heads state"], Float[Tensor, " heads"]]:
        """A, C and Delta in double precision."""
        a = torch.complex(-self.log_decay.double().exp(), self.frequency.double())
        return a, torch.view_as_complex(self.c.double()), self.log_step_size.double().exp()
