"""A short causal convolution in front of any mixer, as Canon layers have it (arXiv 2512.17351)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from harness.contracts.mixer import Coords, Mask, Mixer, Steps
from harness.contracts.seeds import seeded_torch

from ..ops.causal_conv import causal_conv, causal_conv_reference, depthwise_conv, uncounted_conv_flops
from .padding import without_padding


class ShortConv(Mixer):
    """y = mixer(x + conv(x)), conv(x)_t = sum_k w_k x_{t - taps + 1 + k}, channel by channel, no bias, no activation.

    state_size: the mixer's, and the taps - 1 tokens that the next step still sees.
    """

    def __init__(self, mixer: Mixer, width: int, generator: torch.Generator, taps: int):
        super().__init__()
        self.mixer = mixer
        self.causal = mixer.causal
        self.permutation_equivariant = mixer.permutation_equivariant and taps == 1
        self.state_size = None if mixer.state_size is None else mixer.state_size + (taps - 1) * width
        with seeded_torch(generator):
            self.conv1d = depthwise_conv(width, taps, bias=False)

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self.mixer(self._read(x, mask, causal_conv), mask, coords)

    def reference(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self.mixer.reference(self._read(x, mask, causal_conv_reference), mask, coords)

    def _read(self, x: Steps, mask: Mask, conv: Callable[..., Tensor]) -> Steps:
        x = without_padding(x, mask)
        return x + conv(x, self.conv1d, silu=False)

    def decays(self, x: Steps) -> Float[Tensor, "batch length ..."] | None:
        """The mixer's, of what it reads."""
        return self.mixer.decays(self._read(x, None, causal_conv_reference))

    def uncounted_flops(self, length: int) -> int:
        """The mixer's and the convolution's."""
        return self.mixer.uncounted_flops(length) + uncounted_conv_flops(self.conv1d, length)

    @property
    def kernel(self) -> str:
        """The mixer's."""
        return self.mixer.kernel
