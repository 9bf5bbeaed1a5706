"""Several architectures one after the other, as one mixer."""

from __future__ import annotations

from harness.contracts.light import Generator, Mixer
from harness.registry import architectures

from ._short_conv import with_short_conv


@architectures.register("hybrid", version=1)
@with_short_conv
def hybrid(
    width: int,
    length: int,
    grid: tuple[int, int],
    generator: Generator,
    pattern: str = "mamba+local-attention",
) -> Mixer:
    """Mixers of other architectures in a row, each with its residual, in the place of one.

    Source: the interleaving of Jamba (arXiv 2403.19887) and Samba (arXiv 2406.07522), without the MLPs between:
    y_1 = f_1(x), y_i = f_i(norm(x + y_1 + ... + y_{i-1})), y = y_1 + ... + y_n. Each part but the first reads x + the
    outputs so far, normalized to root mean square 1 without weights; the first reads the tokens as they come, which the
    standard backbone has normalized. What comes out is the sum of the parts' outputs: with the residual that the
    backbone adds, that is a stack of pre-norm layers. A pattern of one part is that part.

    pattern: specs of architectures joined with '+', quoted: hybrid:pattern="mamba:state=8+local-attention:window=8".
    """
    from .layers.hybrid import Hybrid

    return Hybrid(width, length, grid, generator, pattern=pattern)
