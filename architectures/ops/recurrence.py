"""A recurrence of matrix states in the forms that can compute it, and which of them serves some tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from . import matrix_scan
from .flash import Flash

Form = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """All forms take the same tensors, queries, keys, values and then its own, and agree.

    flash: flash-linear-attention's kernels, where it has them. cpp: by `matrix_scan`. chunked: in torch operations,
    and how a record names it. flops: of a step in the recurrence, for each number in the states.
    """

    cpp: Form
    chunked: Form
    name: str
    flops: int
    flash: Flash | None = None

    def form(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[str, Form]:
        """The fastest that takes these tensors, its name first."""
        if self.flash is not None and self.flash.serves(keys, values):
            return self.flash.op, self.flash.run
        if matrix_scan.CPP.serves(queries, keys, values):
            return matrix_scan.PATH, self.cpp
        return self.name, self.chunked
