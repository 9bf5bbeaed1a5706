"""The control that sees no order."""

from __future__ import annotations

from harness.contracts.light import Mixer
from harness.registry import architectures

from ._short_conv import with_short_conv


@architectures.register("mean-pool", version=1)
@with_short_conv
def mean_pool() -> Mixer:
    """Permutation-equivariant control: every step receives the mean of all real steps.

    Source: the pooling of Zaheer et al. (Deep Sets), arXiv 1703.06114, Theorem 2: y = rho(sum of phi(x_t)), with the
    backbone's embedding as phi, its readout as rho and the mean for the sum.

    No parameters. With readout=mean nothing about the order can reach the readout, so on a task whose order-blind
    ceiling is chance a score above chance means that something leaks.
    """
    from .layers.mean_pool import MeanPool

    return MeanPool()
