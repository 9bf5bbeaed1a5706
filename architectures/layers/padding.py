"""Padding, handled once at the entrance of every mixer."""

from __future__ import annotations

from abc import abstractmethod

from harness.contracts.mixer import Coords, Mask, Mixer, Steps

from ..ops.names import torch_kernel


def without_padding(x: Steps, mask: Mask) -> Steps:
    """`x` with padded steps set to zero.

    Whatever stands there, infinities included, then neither reaches a real step nor makes a gradient NaN (zero times
    infinity).
    """
    return x if mask is None else x.masked_fill(~mask[:, :, None], 0)


class StepMixer(Mixer):
    """A mixer that needs no more than the steps: padded ones are zero when they reach it, coordinates do not.

    path: what ran last, as its kernel's name has it.
    """

    path = "not run"

    @abstractmethod
    def mix(self, x: Steps) -> Steps:
        """The map, as fast as it goes here."""

    @abstractmethod
    def mix_plainly(self, x: Steps) -> Steps:
        """The same, as its paper prints it."""

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self.mix(without_padding(x, mask))

    def reference(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self.mix_plainly(without_padding(x, mask))

    @property
    def kernel(self) -> str:
        return torch_kernel(self.path)
