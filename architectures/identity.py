"""The control that mixes nothing."""

from __future__ import annotations

from harness.contracts.light import Mixer
from harness.registry import architectures

from ._short_conv import with_short_conv


@architectures.register("identity", version=1)
@with_short_conv
def identity() -> Mixer:
    """Nothing is mixed: every step receives itself. With readout=attention, attention-based MIL (ABMIL).

    No parameters. Cells meet in the readout alone, so with readout=attention or readout=mean no order counts: what a
    mixer is worth on a bag of tiles is what it scores above this.

    Source: Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", ICML 2018, Eqs. 7 and 9:
    they are the readout.
    """
    from .layers.identity import Identity

    return Identity()
