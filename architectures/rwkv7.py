"""RWKV-7's time mixing: vector-valued decays, and a delta rule whose removal and writing keys differ."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("rwkv7", version=1)
@with_short_conv
def rwkv7(
    width: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    rank: Annotated[int, Range(1, 4096)] = 16,
) -> Mixer:
    """RWKV-7 "Goose" time mixing: token shift, decays a channel, in-context learning rates, group norm and bonus.

    Source: Peng et al., arXiv 2503.14456, section 4.1 (time mixing), its recurrence
    S_t = S_{t-1} (diag(w_t) - khat_t^T (a_t * khat_t)) + v_t^T ktilde_t, o_t = r_t S_t^T. Kept: the token shift of
    all six inputs, low-rank decays in (0.545, 1), learning rates and output gate, removal keys of norm 1 apart from the
    keys that are written, a group norm a head with the bonus added, and the vectors' initial values of the authors'
    first layer. Left out: the value residual, which mixes in the first layer's values and so starts at the second
    layer; the authors' initial matrices (zero, orthogonal; torch's own are used); the channel mixing, the backbone's
    business.
    Changed: small heads and one rank for all low-rank maps, for narrow models. No positions, as in the paper.
    For CUDA tensors in 16 bits the recurrence runs in flash-linear-attention's kernels where they are installed;
    elsewhere in chunks in torch.

    heads: heads with a state each; must divide the width, at least two channels a head.
    rank: of the decays', the learning rates' and the output gate's projections.
    """
    from .layers.rwkv7 import RWKV7

    return RWKV7(width, generator, heads=heads, rank=rank)
