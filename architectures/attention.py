"""Softmax attention: over the whole sequence, and within a window."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("global-attention", version=1)
@with_short_conv
def global_attention(
    width: int,
    length: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    causal: bool = False,
    positions: Literal["none", "learned", "sinusoidal", "rotary", "2d"] = "none",
) -> Mixer:
    """Multi-head softmax attention over all steps.

    Source: Vaswani et al., arXiv 1706.03762, Eq. 1 and section 3.2.2, with biases on all four projections.
    Bidirectional without positions it is permutation-equivariant: no scan order can matter to it.

    heads: attention heads; must divide the width.
    causal: a step sees itself and earlier steps only. It is then not permutation-equivariant, positions or not.
    positions: added to the tokens before the projections (learned, sinusoidal; 2d: sinusoids of the cell's row and
        column), or turning queries and keys (rotary, arXiv 2104.09864). All but 2d count the steps of the route.
    """
    from .layers.attention import GlobalAttention

    return GlobalAttention(width, length, generator, heads=heads, causal=causal, positions=positions)


@architectures.register("local-attention", version=1)
@with_short_conv
def local_attention(
    width: int,
    length: int,
    generator: Generator,
    window: Annotated[int, Range(1, 65536)] = 4,
    heads: Annotated[int, Range(1, 256)] = 4,
    causal: bool = False,
    positions: Literal["none", "learned", "sinusoidal", "rotary", "2d"] = "none",
) -> Mixer:
    """Multi-head softmax attention within a window of steps.

    Source: as global-attention, with keys limited to |i - j| <= window (arXiv 2004.05150, section 3.1). Not
    permutation-equivariant: which steps are near is the scan's doing.

    window: how many steps away a step sees, on both sides. One that spans the whole sequence is global attention, and
        without positions as permutation-equivariant.
    heads: attention heads; must divide the width.
    causal: of those, itself and the earlier ones only.
    positions: as for global-attention.
    """
    from .layers.attention import LocalAttention

    return LocalAttention(width, length, generator, window=window, heads=heads, causal=causal, positions=positions)
