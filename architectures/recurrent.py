"""The classical gated recurrent networks: LSTM and GRU."""

from __future__ import annotations

from harness.contracts.light import Generator, Mixer
from harness.registry import architectures

from ._short_conv import with_short_conv


@architectures.register("lstm", version=1)
@with_short_conv
def lstm(width: int, generator: Generator) -> Mixer:
    """Long short-term memory, one layer of torch's own.

    Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al., Neural
    Computation 12(10), 2000, and without peepholes; the equations are those torch.nn.LSTM prints. Its state is as wide
    as the token and its initialization torch's, forget gate included. Training is sequential in the length.
    """
    from .layers.recurrent import LSTM

    return LSTM(width, generator)


@architectures.register("gru", version=1)
@with_short_conv
def gru(width: int, generator: Generator) -> Mixer:
    """Gated recurrent unit, one layer of torch's own.

    Source: Cho et al., arXiv 1406.1078, Eqs. 5-8, in the form that torch.nn.GRU prints: the reset gate acts after the
    product with the recurrent matrix rather than before it. Its state is as wide as the token and its initialization
    torch's. Training is sequential in the length.
    """
    from .layers.recurrent import GRU

    return GRU(width, generator)
