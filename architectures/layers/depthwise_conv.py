"""A short causal convolution of each channel, and a projection: the local filter of arXiv 2312.00752 alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from ..ops.causal_conv import CPP, causal_conv, uncounted_conv_flops
from .padding import StepMixer


class DepthwiseConv(StepMixer):
    """y_t = W_O SiLU(b + sum_k w_k x_{t - taps + 1 + k}), products channel by channel, zeros before the first step.

    state_size: the taps - 1 tokens that the next step still sees.
    """

    causal = True

    def __init__(self, width: int, generator: torch.Generator, taps: int):
        super().__init__()
        self.taps = taps
        self.state_size = (taps - 1) * width
        with seeded_torch(generator):
            self.filter = nn.Conv1d(width, width, taps, groups=width, padding=taps - 1)
            self.out = nn.Linear(width, width, bias=False)

    def mix(self, x: Steps) -> Steps:
        self.path = CPP.name if CPP.serves(x, self.filter.weight) else "depthwise conv1d"
        return self.out(causal_conv(x, self.filter))

    def uncounted_flops(self, length: int) -> int:
        return uncounted_conv_flops(self.filter, length)

    def mix_plainly(self, x: Steps) -> Steps:
        length = x.shape[1]
        earlier = F.pad(x, (0, 0, self.taps - 1, 0))
        assert self.filter.bias is not None
        filtered = self.filter.bias.expand_as(x)
        for tap, weight in enumerate(self.filter.weight[:, 0].unbind(1)):
            filtered = filtered + weight * earlier[:, tap : tap + length]
        return self.out(F.silu(filtered))
