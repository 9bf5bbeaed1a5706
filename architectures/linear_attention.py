"""Attention without a softmax, which a recurrence computes: linear attention, and the same with gates."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("linear-attention", version=1)
@with_short_conv
def linear_attention(width: int, generator: Generator, heads: Annotated[int, Range(1, 256)] = 4) -> Mixer:
    """Multi-head causal linear attention: a feature map in place of the softmax.

    Source: Katharopoulos et al., arXiv 2006.16236: phi(x) = elu(x) + 1 (Eq. 7), causal and normalized (Eqs. 9-12), its
    reference the recurrent network of Eqs. 16-20. Kept as there, with biases on all four projections and 1e-6 added to
    the normalizer as in the authors' code; the residual and MLP around it belong to the protocol. No positions. For
    CUDA tensors in tf32 or 16 bits flash-linear-attention's kernel sums, where it is installed; elsewhere chunks in
    torch do.

    heads: attention heads; must divide the width.
    """
    from .layers.linear_attention import LinearAttention

    return LinearAttention(width, generator, heads=heads)


@architectures.register("gated-linear-attention", version=1)
@with_short_conv
def gated_linear_attention(
    width: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    rank: Annotated[int, Range(1, 4096)] = 16,
) -> Mixer:
    """Gated linear attention: every key channel forgets at a rate that the token sets.

    Source: Yang et al., arXiv 2312.06635, Eq. 3 and the layer of section 4.4. Kept: keys half as wide as the values,
    gates sigmoid(.)^(1/16) from a low-rank projection, a norm a head, the swish output gate. As in the authors' code
    that norm is by the root mean square, where the paper prints LN. Left out: their initialization (torch's own is
    used). For CUDA tensors in tf32 or 16 bits it runs in the authors' kernels (flash-linear-attention) where they are
    installed; elsewhere in chunks in torch, stable for gates however shut. No positions, as in the paper.

    heads: heads with a state each; twice as many must divide the width.
    rank: of the gates' projection.
    """
    from .layers.linear_attention import GatedLinearAttention

    return GatedLinearAttention(width, generator, heads=heads, rank=rank)
