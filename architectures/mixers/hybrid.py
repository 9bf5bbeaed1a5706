"""Mixers of several architectures one after the other."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from harness.errors import UserError
from harness.mixer import Mixer
from harness.registry import architectures

from .padding import without_padding

# A part holds no '+' but within double quotes, where a backslash escapes.
PART = re.compile(r'(?:[^+"]|"(?:[^"\\]|\\.)*")+')


class Hybrid(Mixer):
    """x_1 = x, x_{i+1} = x_i + f_i(norm(x_i)); the output is x_{n+1} - x, the sum of the f_i, norm(x_1) being x_1.

    causal and order_blind: where all parts are. state_size: of all parts, None where one has none.
    """

    def __init__(self, width: int, length: int, grid: tuple[int, int], generator: torch.Generator, pattern: str):
        super().__init__()
        self.parts = nn.ModuleList()
        for spec in parts_of(pattern):
            entry, values = architectures.parse(spec)
            self.parts.append(entry.create(values, width=width, length=length, grid=grid, generator=generator))
        mixers = self._mixers()
        self.causal = all(mixer.causal for mixer in mixers)
        self.order_blind = all(mixer.order_blind for mixer in mixers)
        sizes = [mixer.state_size for mixer in mixers]
        self.state_size = None if None in sizes else sum(size for size in sizes if size is not None)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        first, *rest = self._mixers()
        x = without_padding(x, mask)
        y = first(x, mask, cells)
        for mixer in rest:
            y = y + mixer(_normalized(x + y), mask, cells)
        return y

    def reference(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
        cells: Int[Tensor, "#batch length 2"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        first, *rest = self._mixers()
        x = without_padding(x, mask)
        y = first.reference(x, mask, cells)
        for mixer in rest:
            y = y + mixer.reference(_normalized(x + y), mask, cells)
        return y

    def uncounted_flops(self, length: int) -> int:
        """All parts'."""
        return sum(mixer.uncounted_flops(length) for mixer in self._mixers())

    def _mixers(self) -> list[Mixer]:
        return [part for part in self.parts if isinstance(part, Mixer)]

    @property
    def kernel(self) -> str:
        return " + ".join(mixer.kernel for mixer in self._mixers())


def parts_of(pattern: str) -> list[str]:
    """The specs that a pattern joins.

    Raises:
        UserError: a part is missing.
    """
    parts = PART.findall(pattern)
    if "+".join(parts) != pattern or not parts:
        raise UserError(
            f"hybrid: pattern is specs of architectures joined with '+', got {pattern!r}; write for instance"
            f' hybrid:pattern="mamba+local-attention:window=8"'
        )
    return parts


def _normalized(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)
