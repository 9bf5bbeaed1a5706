"""A recurrence from flash-linear-attention where its kernels serve it, from a plain form in torch otherwise."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..ops.flash import Flash, flash_version
from .padding import StepMixer


class FlashMixer(StepMixer):
    """A mixer with such a recurrence.

    flash: the recurrence there. path: which form ran last. states: numbers in the states that `flash` computes.
    """

    flash: Flash
    states: int

    def recur(
        self, plain: Callable[..., Tensor], path: str, queries: Tensor, keys: Tensor, values: Tensor, *others: Tensor
    ) -> Tensor:
        """The recurrence in the one form or the other; `path` is the plain form's name. Here the choice is made."""
        served = self.flash.serves(keys, values)
        self.path = self.flash.op if served else path
        return (self.flash.run if served else plain)(queries, keys, values, *others)

    def uncounted_flops(self, length: int) -> int:
        """In flash-linear-attention's kernels the recurrence's (`Flash.flops` for each number in the states), else what
        the plain form has.
        """
        if self.path == self.flash.op:
            return length * self.flash.flops * self.states
        return self.plain_flops(length)

    def plain_flops(self, length: int) -> int:
        """What torch's count does not see of the plain form."""
        return 0

    @property
    def kernel(self) -> str:
        if self.path == self.flash.op:
            return f"flash-linear-attention {flash_version()}/{self.path}"
        return super().kernel
