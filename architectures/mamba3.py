"""Mamba-3, unmodified, where its kernels run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from harness.registry import Range, architectures

if TYPE_CHECKING:
    import torch

    from harness.mixer import Mixer


@architectures.register("mamba3", version=1)
def mamba3(
    width: int,
    generator: torch.Generator,
    state: Annotated[int, Range(16, 1024)] = 64,
    expand: Annotated[int, Range(1, 16)] = 2,
    headdim: Annotated[int, Range(16, 1024)] = 16,
) -> Mixer:
    """Mamba-3 block on a CUDA machine: trapezoidal discretization, rotating states, no convolution.

    Source: Lahoti et al., arXiv 2603.15569, single-input form, the trapezoidal recurrence
    h_t = exp(dt_t A_t) (h_{t-1} + (1 - lambda_t) dt_t B_{t-1} x_{t-1}) + lambda_t dt_t B_t x_t, B and C turning:
    mamba-ssm's own Mamba3 with its Triton kernels. They compute in bfloat16 whatever the dtype, and there is no plain
    form to compare them with: the reference is the block itself. Elsewhere it is unsupported. Left out: the multi-input
    form. Changed: heads of 16 channels and states of 64 (theirs: 64 and 128), for narrow models.

    state: numbers of state per channel, a power of two. expand: channels per unit of width.
    headdim: channels a head, a power of two; must divide expand times the width.
    """
    from .mixers.mamba3 import Mamba3

    return Mamba3(width, generator, state=state, expand=expand, headdim=headdim)
