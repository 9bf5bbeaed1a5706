"""A mixer whose recurrence has several forms, one of which serves."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..ops.flash import flash_version
from ..ops.recurrence import Recurrence
from .padding import StepMixer


class RecurrenceMixer(StepMixer):
    """A mixer with such a recurrence.

    path: which form ran last. states: numbers in the states of all heads.
    """

    recurrence: Recurrence
    states: int

    def recur(self, queries: Tensor, keys: Tensor, values: Tensor, *others: Any) -> Tensor:
        """The recurrence in the form that serves these tensors; here the choice is made."""
        self.path, run = self.recurrence.form(queries, keys, values)
        return run(queries, keys, values, *others)

    def uncounted_flops(self, length: int) -> int:
        """In kernels the recurrence's (`Recurrence.flops` for each number in the states); of the form in torch
        operations what torch's count does not see.
        """
        if self._in_flash or self.path == self.recurrence.operator.name:
            return length * self.recurrence.flops * self.states
        return self.chunked_flops(length)

    def chunked_flops(self, length: int) -> int:
        """What torch's count does not see of the form in torch operations."""
        return 0

    @property
    def _in_flash(self) -> bool:
        return self.recurrence.flash is not None and self.path == self.recurrence.flash.op

    @property
    def kernel(self) -> str:
        if self._in_flash:
            return f"flash-linear-attention {flash_version()}/{self.path}"
        return super().kernel
