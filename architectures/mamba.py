"""Mamba, unmodified."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Added, Range, architectures


@architectures.register("mamba", version=1)
def mamba(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(1, 256)] = 16,
    conv: Annotated[int, Range(0, 64)] = 4,
    expand: Annotated[int, Range(1, 16)] = 2,
    eigenvalues: Annotated[Literal["positive", "negative"], Added()] = "positive",
) -> Mixer:
    """Mamba block: convolution, selective scan and gate, as published.

    Source: Gu and Dao, arXiv 2312.00752: the recurrence of Eq. 2 with parameters that the token sets (Algorithm 2), in
    the block of section 3.4. The block is mamba-ssm's own wherever that package imports, with a selective scan for CPU
    tensors put in place of its CUDA one; elsewhere the same block in plain torch, with the same parameters and the same
    initialization for a seed. The record's kernel says which ran.

    state: numbers of state per channel. conv: taps of the causal convolution; 0: none, SiLU stays.
    expand: channels per unit of width.
    eigenvalues: negative takes 2 exp(Delta A) - 1, in [-1, 1], for exp(Delta A), in [0, 1], as Grazzi et al., arXiv
        2411.12537, who change nothing else; then never in mamba-ssm's kernels.
    """
    from .layers.mamba import Mamba

    return Mamba(width, generator, state=state, conv=conv, expand=expand, eigenvalues=eigenvalues)
