"""Diagonal state space models that are the same for every token: S4D."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("s4d", version=1)
@with_short_conv
def s4d(
    width: int,
    generator: Generator,
    state: Annotated[int, Range(2, 4096)] = 64,
    initialization: Literal["linear", "inverse"] = "linear",
) -> Mixer:
    """S4D: a diagonal complex state space model a channel, the same at every step, as one long convolution.

    Source: Gu et al., arXiv 2206.11893: x' = A x + B u, y = 2 Re(C x) + D u with A diagonal (sections 2 and 3), by
    zero-order hold the kernel K_l = 2 Re(sum over n of C_n (exp(dt A_n) - 1) / A_n exp(l dt A_n)), and S4D-Lin or
    S4D-Inv for A (section 4). Kept from the authors' standalone layer: B = 1, the real part -exp(.), a step
    size a channel drawn log-uniformly in [.001, .1], C and D normal, then GELU and a linear layer with GLU. Changed: A
    and the step sizes learn at the rate of everything else, where the authors take a smaller one (like theirs, they
    do not decay). Left out: dropout, and the residual and norm around the layer, which belong to the protocol.

    state: numbers in the state of a channel (N), conjugates counted; even.
    initialization: the imaginary parts of A: linear, pi n (S4D-Lin), or inverse, N/pi (N/(2n + 1) - 1) (S4D-Inv).
    """
    from .layers.s4d import S4D

    return S4D(width, generator, state=state, initialization=initialization)
