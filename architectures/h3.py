"""Two state space models with products between, after linear attention: H3."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("h3", version=1)
@with_short_conv
def h3(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(2, 4096)] = 64,
    headdim: Annotated[int, Range(1, 256)] = 1,
) -> Mixer:
    """H3 (Hungry Hungry Hippos): a shift and a diagonal state space model, with products of queries, keys and values.

    Source: Dao, Fu et al., arXiv 2212.14052, Algorithm 1: q * SSM_diag(SSM_shift(k) * v), and the authors' code
    (HazyResearch/H3, src/models/ssm/h3.py), of which are kept: projections with biases, a term D u in both models, the
    shift's B at e_1 and trained, its C as a convolution of as many taps starts, the diagonal model bilinear and started
    as S4D-Lin, its step sizes log-uniform in [.001, .1]. Changed: the diagonal model's B, which there is trained from
    1, is part of C. In zoology (HazyResearch/zoology) state is the length and headdim 2.

    state: numbers in the state of a channel (N), of the diagonal model's conjugates counted; even. So many steps back
        the shift sees.
    headdim: channels a head, whose keys and values meet pair by pair; must divide the width.
    """
    from .layers.h3 import H3

    return H3(width, generator, state=state, headdim=headdim)
