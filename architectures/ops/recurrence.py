"""A recurrence of matrix states in the forms that can compute it, and which of them serves some tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from harness.contracts.cpp_operator import CppOperator

from .flash import Flash

Form = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """All forms take the same tensors, queries, keys, values and then its own, and agree.

    flash: flash-linear-attention's kernels, where it has them. operator, cpp: in C++, and the form that calls it.
    chunked, name: in torch operations, and how a record names it. flops: of a step in the recurrence, for each number
    in the states.
    """

    operator: CppOperator
    cpp: Form
    chunked: Form
    name: str
    flops: int
    flash: Flash | None = None

    def form(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[str, Form]:
        """The fastest that takes these tensors, its name first."""
        if self.flash is not None and self.flash.serves(keys, values):
            return self.flash.op, self.flash.run
        if self.operator.serves(queries, keys, values):
            return self.operator.name, self.cpp
        return self.name, self.chunked
