"""Mamba-2, unmodified."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures


@architectures.register("mamba2", version=1)
def mamba2(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(1, 1024)] = 64,
    conv: Annotated[int, Range(1, 64)] = 4,
    expand: Annotated[int, Range(1, 16)] = 2,
    headdim: Annotated[int, Range(1, 1024)] = 16,
) -> Mixer:
    """Mamba-2 block: convolution, state space duality with one decay a head, gated norm.

    Source: Dao and Gu, arXiv 2405.21060, section 7.1: parallel projections, one B and C for all heads, the recurrence
    of Eq. 2 with one decay a head, computed in chunks (section 6). For CUDA tensors the block is mamba-ssm's own with
    its Triton kernels, where that package imports; elsewhere the same block in plain torch, with the same parameters
    and the same initialization for a seed. The record's kernel says which ran. Changed: heads of 16 channels and states
    of 64 (theirs: 64 and 128), for narrow models.

    state: numbers of state per channel. conv: taps of the causal convolution. expand: channels per unit of width.
    headdim: channels a head, which share a decay; must divide expand times the width.
    """
    from .layers.mamba2 import Mamba2

    return Mamba2(width, generator, state=state, conv=conv, expand=expand, headdim=headdim)
