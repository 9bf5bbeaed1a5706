"""Long convolutions with filters that a network makes, and products between: Hyena."""

from __future__ import annotations

from typing import Annotated

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures


@architectures.register("hyena", version=1)
def hyena(
    width: int,
    length: int,
    generator: Generator,
    conv: Annotated[int, Range(0, 64)] = 3,
    hidden: Annotated[int, Range(1, 4096)] = 64,
    features: Annotated[int, Range(3, 255)] = 3,
) -> Mixer:
    """Hyena operator of order 2: a long implicit convolution between two products with projections of the token.

    Source: Poli et al., arXiv 2302.10866, section 3, and the authors' code (HazyResearch/safari,
    src/models/sequence/hyena.py; HazyResearch/zoology, zoology/mixers/hyena.py), of which are kept, with their
    defaults: projections with biases, a short convolution without activation, a filter from a network of sines with one
    trained frequency a hidden channel for all layers, its exponential window, a term b v. Changed: the features of the
    place stay fixed, which there are trained at a rate of 1e-5; the filter learns at the rate of everything else, where
    theirs has 1e-3; places beyond the length that the model is made for go on.

    conv: taps of the short convolution; 0: none. hidden: channels of the filter's network.
    features: of the place that the network sees, an odd number: the place itself and pairs of waves.
    """
    from .layers.hyena import Hyena

    return Hyena(width, length, generator, conv=conv, hidden=hidden, features=features)
