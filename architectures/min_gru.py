"""Recurrent networks that train in parallel, because their gates see the token only: minGRU."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("min-gru", version=1)
@with_short_conv
def min_gru(width: int, generator: Generator, expand: Annotated[int, Range(1, 64)] = 1) -> Mixer:
    """minGRU: a gated recurrent unit whose gate and candidate depend on the token alone.

    Source: Feng et al., arXiv 2410.01201: h_t = (1 - z_t) h_{t-1} + z_t g(W_h x_t), z_t = sigmoid(W_z x_t), computed by
    their scan in log-space, which is why the candidate goes through the positive function g. Kept: both linear maps
    with biases, torch's own initialization, g as printed (x + 1/2 from 0 on, sigmoid(x) below). Changed: the state
    starts at 0 rather than at g of a given h_0, and the scan's sums are float64, of which float32 would lose digits
    over long sequences. Left out: the short convolution and MLP of their language model's blocks.

    expand: how many times as wide as the token the state is; above 1 a linear layer brings it back.
    """
    from .layers.min_gru import MinGRU

    return MinGRU(width, generator, expand=expand)
