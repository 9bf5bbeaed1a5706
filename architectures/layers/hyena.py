"""The Hyena operator of order 2 (arXiv 2302.10866)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.causal_conv import causal_conv, causal_conv_reference, depthwise_conv, uncounted_conv_flops
from ..ops.long_conv import direct_convolution, fft_convolution, fft_flops
from .padding import StepMixer

LEFT, FASTEST, SLOWEST = 0.01, 0.3, 1.5
"""What a filter's window has left after which part of the longest sequence, in the first and in the last channel."""


class LongFilter(nn.Module):
    """A filter a channel, of any length, from a small network of sines over features of the place.

        z_t = (t', cos(f_b w_t), -sin(f_b w_t) for b bands),  t' = t / (L - 1),  w_t = 2 pi t / L
        k_t = exp(-t' r) * W_3 sin(a * (W_2 sin(a * (W_1 sin(a * W_0 z_t)))))          (biases in W_0 to W_2)

    L is the length that it is made for; beyond it t' goes on. The rates r are spread evenly over the channels.
    """

    bands: Tensor
    rates: Tensor

    def __init__(self, width: int, length: int, hidden: int, features: int):
        super().__init__()
        self.length = length
        sizes = [features, hidden, hidden, hidden]
        self.layers = nn.ModuleList(nn.Linear(size, hidden) for size in sizes[:-1])
        self.last = nn.Linear(hidden, width, bias=False)
        self.frequency = nn.Parameter(torch.ones(hidden))
        bands = (features - 1) // 2
        self.register_buffer("bands", torch.linspace(1e-4, bands - 1, bands), persistent=False)
        rates = torch.linspace(-math.log(LEFT) / SLOWEST, -math.log(LEFT) / FASTEST, width)
        self.register_buffer("rates", rates, persistent=False)
        for parameter in self.parameters():
            parameter._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(self, length: int) -> Float[Tensor, "length width"]:
        step = torch.arange(length, dtype=self.rates.dtype, device=self.rates.device)[:, None]
        place, angle = step / max(self.length - 1, 1), 2 * math.pi * step / self.length * self.bands
        h = torch.cat([place, torch.cos(angle), -torch.sin(angle)], dim=1)
        with torch.autocast(h.device.type, enabled=False):  # in 16 bits neighbouring places would be one
            for layer in self.layers:
                h = torch.sin(self.frequency * layer(h))
            return torch.exp(-place * self.rates) * self.last(h)


class Hyena(StepMixer):
    """y = W_O (x_2 * (k * (x_1 v) + b x_1 v)), where (x_1, x_2, v) = conv(x W), a short convolution without activation.

    The star before the brackets is the long convolution with the filter k. There is no recurrent state: what a step
    needs of the past grows with it.
    """

    causal = True

    def __init__(self, width: int, length: int, generator: torch.Generator, conv: int, hidden: int, features: int):
        super().__init__()
        if features % 2 == 0:
            raise UserError(
                f"hyena: features are the place and pairs of waves, got features={features}; give an odd number"
            )
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 3 * width)
            self.conv1d = depthwise_conv(3 * width, conv)
            self.filter = LongFilter(width, length, hidden, features)
            self.bias = nn.Parameter(torch.randn(width))
            self.out = nn.Linear(width, width)

    def mix(self, x: Steps) -> Steps:
        self.path = "long convolution fft"
        return self._mixed(x, causal_conv, fft_convolution)

    def mix_plainly(self, x: Steps) -> Steps:
        return self._mixed(x, causal_conv_reference, direct_convolution)

    def uncounted_flops(self, length: int) -> int:
        """Both convolutions'; the filter serves the whole batch and is left out."""
        return fft_flops(len(self.bias), length) + uncounted_conv_flops(self.conv1d, length)

    def _mixed(self, x: Tensor, short: Callable[..., Tensor], long: Callable[..., Tensor]) -> Tensor:
        before, after, v = short(self.qkv(x), self.conv1d, silu=False).chunk(3, dim=-1)
        v = before * v
        return self.out(after * (long(v, self.filter(x.shape[1])) + self.bias * v))
