"""RetNet's retention: linear attention that decays at a fixed rate a head."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("retnet", version=1)
@with_short_conv
def retnet(
    width: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    expand: Annotated[int, Range(1, 16)] = 2,
) -> Mixer:
    """Multi-scale retention: rotated queries and keys, a fixed decay a head, group norm, swish gate.

    Source: Sun et al., arXiv 2307.08621: retention (Eqs. 5-7), multi-scale with gamma = 1 - 2^(-5-h) and the gate
    (Eq. 8), values twice as wide as keys (section 3.1). Kept: the rotation, with the frequencies of xPos (10000^(-2i/d)
    where the authors' code spaces them to end at 1/10000), keys scaled by their channels^(-1/2), no biases. Left out:
    the scalings of scores that the group norm takes out again, and the authors' initialization (torch's own is used).
    Positions count the steps of the route. The FFN around it belongs to the protocol. For CUDA tensors in tf32 or 16
    bits the recurrence runs in flash-linear-attention's kernel where it is installed; elsewhere in chunks in torch.

    heads: heads with a decay each; twice as many must divide the width.
    expand: how many times as wide as the keys the values are.
    """
    from .layers.retnet import RetNet

    return RetNet(width, generator, heads=heads, expand=expand)
