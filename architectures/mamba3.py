"""Mamba-3, unmodified."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("mamba3", version=1)
@with_short_conv
def mamba3(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(16, 1024)] = 64,
    expand: Annotated[int, Range(1, 16)] = 2,
    headdim: Annotated[int, Range(16, 1024)] = 16,
) -> Mixer:
    """Mamba-3 block: trapezoidal discretization, rotating states, biased B and C, no convolution.

    Source: Lahoti et al., arXiv 2603.15569, single-input form, the trapezoidal recurrence
    h_t = exp(dt_t A_t) (h_{t-1} + (1 - lambda_t) dt_t B_{t-1} x_{t-1}) + lambda_t dt_t B_t x_t, in which B and C are
    normed and biased and half of their numbers turn, by the sum of all dt_s pi tanh(theta_s) so far. For CUDA tensors
    the block is mamba-ssm's own with its Triton kernels, which compute in bfloat16 whatever the dtype, where that
    package imports; elsewhere, and in float64, the same block in plain torch and in the dtype given, in chunks, with
    the same parameters and the same initialization for a seed. The record's kernel says which ran. Left out: the
    multi-input form. Changed: heads of 16 channels and states of 64 (theirs: 64 and 128), for narrow models.

    state: numbers of state per channel, a power of two. expand: channels per unit of width.
    headdim: channels a head, a power of two; must divide expand times the width.
    """
    from .layers.mamba3 import Mamba3

    return Mamba3(width, generator, state=state, expand=expand, headdim=headdim)
