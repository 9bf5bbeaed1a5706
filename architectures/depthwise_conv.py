"""What a local filter does alone: a short causal convolution of each channel."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("depthwise-conv", version=1)
@with_short_conv
def depthwise_conv(width: int, generator: Generator, taps: Annotated[int, Range(2, 4096)] = 4) -> Mixer:
    """Depthwise convolution: a causal filter of a few taps a channel and a pointwise projection, nothing else.

    Source: the short convolution of the block of Gu and Dao, arXiv 2312.00752 (section 3.4), without its scan, gate and
    expansion: a control for models that carry such a filter within. Kept: taps with a bias, SiLU after them, a
    projection without bias, torch's own initialization. It sees the last `taps` steps and no step before.

    taps: steps that an output sees, its own among them.
    """
    from .layers.depthwise_conv import DepthwiseConv

    return DepthwiseConv(width, generator, taps=taps)
