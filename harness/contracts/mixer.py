"""What an architecture's module owes the harness. The one contract file that needs torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Steps: TypeAlias = Float[Tensor, "batch length width"]
"""The features of a route's steps, and what a mixer makes of them."""

Mask: TypeAlias = Bool[Tensor, "batch length"] | None
"""True where a step is real; None where all are. Real steps come first."""

Coords: TypeAlias = Int[Tensor, "#batch length 2"] | None
"""(row, column) of the cell at each step."""


def state_space_parameters(model: nn.Module) -> set[nn.Parameter]:
    """The parameters of the mixers in a model that set their recurrences' dynamics (A_log, dt, D, say): what a mixer
    has marked `_no_weight_decay`, as mamba-ssm does, or `_state_space` where that mark would change its decay.

    >>> state_space_parameters(nn.Linear(2, 2))
    set()
    """
    marks = ("_no_weight_decay", "_state_space")
    return {
        parameter
        for module in model.modules()
        if isinstance(module, Mixer)
        for parameter in module.parameters()
        if any(getattr(parameter, mark, False) for mark in marks)
    }


class Mixer(nn.Module, ABC):
    """A sequence mixer: the thing that is compared. The backbone around it belongs to the protocol.

    A mixer sees steps of one route, never the grid: gathering by route and scattering back is the model's business.
    Padding stands on the right and never changes a real step's output; outputs at padded steps are ignored.

    causal: a step's output depends on that step and earlier ones only.
    permutation_equivariant: permuting the steps permutes the outputs and does nothing else.
    state_size: numbers that a recurrence carries from step to step a sequence, or None where there is no such state.
    scores_are_fixed: the mixer is the simplified gated SSM, of one parameter `w_D`, with scores that training leaves as
        they are; `fixed_scores` then gives them, and the paper's protocol takes its fused gradient.
    """

    causal: bool = False
    permutation_equivariant: bool = False
    state_size: int | None = None
    scores_are_fixed: bool = False

    @abstractmethod
    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        """Mix the steps of a route.

        Args:
            x: in route order. The standard backbone hands over tokens of root mean square 1.
            coords: for encodings of the place on the grid.
        """

    def reference(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        """The same map, written as plainly as the paper prints it; slow, any dtype. Speeds and tests compare with it.

        Where a mixer has no fast path of its own, its forward is the reference.
        """
        return self.forward(x, mask, coords)

    def gate_directions(self) -> Float[Tensor, "rows width"] | None:
        """The directions in token space whose product with a token decides its gates, or None where there are none."""
        return None

    def decays(self, x: Steps) -> Float[Tensor, "batch length ..."] | None:
        """What part of its state a recurrence keeps at each step, 0 to 1, a number for each part of the state that has
        one of its own; None where there is no such thing.
        """
        return None

    def uncounted_flops(self, length: int) -> int:
        """Floating-point operations on a sequence of `length` steps in scans and transforms: what a count of matrix
        products, convolutions and attention does not see (`harness.model.cost`).
        """
        return 0

    def fixed_scores(self, x: Steps) -> Float[Tensor, "batch length length"] | None:
        """(W_C^T x_t).(W_B^T x_s) at [t, s] where training does not change it; None stands for x_t . x_s."""
        raise NotImplementedError

    @property
    def kernel(self) -> str:
        """What really ran last: `package version/path`."""
        return f"torch {torch.__version__.partition('+')[0]}/eager"
