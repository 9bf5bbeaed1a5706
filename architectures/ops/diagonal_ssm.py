"""A diagonal complex state space model, the same at every step: as a recurrence and as one long convolution.

    x_t = exp(Delta A) x_{t-1} + (exp(Delta A) - 1) / A u_t,   y_t = 2 Re(C x_t)      (zero-order hold, B = 1)
    y = K * u,   K_l = 2 Re sum_n C_n (exp(Delta A_n) - 1) / A_n exp(Delta A_n)^l     (arXiv 2206.11893, Vandermonde)

and the same with the bilinear discretization, (1 + Delta A/2) / (1 - Delta A/2) for what is kept and
Delta / (1 - Delta A/2) for what is written. A state stands for its complex conjugate too, hence twice the real part. A
and Delta A are complex128 whatever the input: a large imaginary part turns thousands of radians over a long sequence,
of which float32 keeps few digits.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from einops import einsum
from jaxtyping import Complex, Float
from torch import Tensor

from harness.contracts.mixer import Steps

from .long_conv import fft_convolution

States: TypeAlias = Complex[Tensor, "width state"]
PerChannel: TypeAlias = Float[Tensor, " width"]


def diagonal_reference(u: Steps, a: States, c: States, step_size: PerChannel, bilinear: bool = False) -> Steps:
    """The recurrence, step by step."""
    kept, written = discretized(a, step_size, bilinear)
    state = torch.zeros_like(kept).expand(len(u), -1, -1)
    outputs = []
    for token in u.unbind(1):
        state = kept * state + written * token[:, :, None]
        outputs.append(2 * (c * state).sum(-1).real)
    return torch.stack(outputs, dim=1).to(u.dtype)


def diagonal_convolution(u: Steps, a: States, c: States, step_size: PerChannel) -> Steps:
    """The same, by transforms."""
    return fft_convolution(u, vandermonde_kernel(a, c, step_size, u.shape[1]))


def vandermonde_kernel(
    a: States, c: States, step_size: PerChannel, length: int, bilinear: bool = False
) -> Float[Tensor, "length width"]:
    """K_0 .. K_{length - 1} of every channel."""
    kept, written = discretized(a, step_size, bilinear)
    steps = torch.arange(length, device=a.device, dtype=step_size.dtype)
    # A bilinear step can keep nothing, whose logarithm is infinite; 1e-300 is lost beside any other number.
    exponent = torch.log(kept + 1e-300) if bilinear else a * step_size[:, None]
    powers = torch.exp(exponent[..., None] * steps)
    return 2 * einsum(c * written, powers, "width state, width state length -> length width").real


def discretized(a: States, step_size: PerChannel, bilinear: bool = False) -> tuple[States, States]:
    """What a step keeps of the state, and what it writes of the input: zero-order hold with B = 1, or bilinear."""
    if bilinear:
        half = a * step_size[:, None] / 2
        return (1 + half) / (1 - half), step_size[:, None] / (1 - half)
    kept = torch.exp(a * step_size[:, None])
    return kept, (kept - 1) / a
