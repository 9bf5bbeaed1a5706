"""A causal convolution with a filter as long as the sequence, a filter a channel: y_t = sum_{s<=t} k_{t-s} u_s."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contracts.mixer import Steps


def direct_convolution(u: Steps, kernel: Float[Tensor, "taps width"]) -> Steps:
    """The sum as it is written, tap by tap; no more taps than steps."""
    y = kernel[0] * u
    for lag, weight in enumerate(kernel[1:], start=1):
        y = y + torch.cat([torch.zeros_like(u[:, :lag]), weight * u[:, :-lag]], dim=1)
    return y


def fft_convolution(u: Steps, kernel: Float[Tensor, "taps width"]) -> Steps:
    """The same, by a product of transforms of twice the length: what would come round stays in the padding."""
    length = u.shape[1]
    kernel = kernel.to(torch.promote_types(u.dtype, torch.float32))
    transformed = torch.fft.rfft(u.to(kernel.dtype), n=2 * length, dim=1)
    product = transformed * torch.fft.rfft(kernel, n=2 * length, dim=0)
    return torch.fft.irfft(product, n=2 * length, dim=1)[:, :length].to(u.dtype)


def fft_flops(channels: int, length: int) -> int:
    """Of `fft_convolution`, a sequence: two real transforms of a channel's inputs, of twice the length n at
    5/2 n log2 n, and their product with that of the kernel; the kernel's own serves the whole batch and is left out.
    """
    points = 2 * length
    return round(channels * (5 * points * math.log2(points) + 3 * points))
