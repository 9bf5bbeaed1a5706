"""Mamba-2, unmodified."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Added, Range, architectures


@architectures.register("mamba2", version=1)
def mamba2(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(1, 1024)] = 64,
    conv: Annotated[int, Range(0, 64)] = 4,
    expand: Annotated[int, Range(1, 16)] = 2,
    headdim: Annotated[int, Range(1, 1024)] = 16,
    eigenvalues: Annotated[Literal["positive", "negative"], Added()] = "positive",
) -> Mixer:
    """Mamba-2 block: convolution, state space duality with one decay a head, gated norm.

    Source: Dao and Gu, arXiv 2405.21060, section 7.1: parallel projections, one B and C for all heads, the recurrence
    of Eq. 2 with one decay a head, computed in chunks (section 6). For CUDA tensors the block is mamba-ssm's own with
    its Triton kernels, where that package imports; elsewhere the same block in plain torch, with the same parameters
    and the same initialization for a seed. The record's kernel says which ran. Changed: heads of 16 channels and states
    of 64 (theirs: 64 and 128), for narrow models.

    state: numbers of state per channel. conv: taps of the causal convolution; 0: none, SiLU stays.
    expand: channels per unit of width.
    headdim: channels a head, which share a decay; must divide expand times the width.
    eigenvalues: negative takes 2 exp(Delta A) - 1, in [-1, 1], for exp(Delta A), in [0, 1], as Grazzi et al., arXiv
        2411.12537, do for Mamba; then never in mamba-ssm's kernels.
    """
    from .layers.mamba2 import Mamba2

    return Mamba2(width, generator, state=state, conv=conv, expand=expand, headdim=headdim, eigenvalues=eigenvalues)
