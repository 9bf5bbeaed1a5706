"""Gated DeltaNet: a linear recurrence that forgets, and replaces what it holds for a key."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Added, Range, architectures


@architectures.register("gated-deltanet", version=1)
def gated_deltanet(
    width: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    conv: Annotated[int, Range(0, 64)] = 4,
    expand: Annotated[int, Range(1, 16)] = 2,
    eigenvalues: Annotated[Literal["positive", "negative"], Added()] = "positive",
) -> Mixer:
    """Gated delta rule: the state decays, and a step replaces what it holds for its key.

    Source: Yang, Kautz and Hatamizadeh, arXiv 2412.06464: Eq. 10, its chunks by the WY form (section 3.3), the token
    mixer of Figure 1: short convolutions and SiLU, queries and keys of norm 1, alpha as Mamba-2's decays, beta a
    sigmoid, a root mean square norm a head with a SiLU gate. Changed: keys as wide as the token (the authors' code:
    three quarters). Left out: their initialization (torch's own and Mamba-2's for alpha). For CUDA tensors in tf32
    or 16 bits it runs in flash-linear-attention's kernels where they are installed; elsewhere in chunks in torch. No
    positions, as in the paper.

    heads: heads with a state each; must divide the width. conv: taps of the short convolutions; 0: none.
    expand: how many times as wide as the keys the values are.
    eigenvalues: negative doubles beta, so that what a step makes of its key has eigenvalues in [-1, 1] rather than
        [0, 1] (Grazzi et al., arXiv 2411.12537).
    """
    from .layers.gated_deltanet import GatedDeltaNet

    return GatedDeltaNet(width, generator, heads=heads, conv=conv, expand=expand, eigenvalues=eigenvalues)
