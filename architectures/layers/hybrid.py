"""Mixers of several architectures one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Coords, Mask, Mixer, Steps
from harness.registry import architectures

from .padding import without_padding

# A part holds no '+' but within double quotes, where a backslash escapes.
PART = re.compile(r'(?:[^+"]|"(?:[^"\\]|\\.)*")+')


class Hybrid(Mixer):
    """x_1 = x, x_{i+1} = x_i + f_i(norm(x_i)); the output is x_{n+1} - x, the sum of the f_i, norm(x_1) being x_1.

    causal and permutation_equivariant: where all parts are. state_size: of all parts, None where one has none.
    """

    def __init__(self, width: int, length: int, grid: tuple[int, int], generator: torch.Generator, pattern: str):
        super().__init__()
        self.parts = nn.ModuleList()
        for spec in parts_of(pattern):
            entry, values = architectures.parse(spec)
            self.parts.append(entry.create(values, width=width, length=length, grid=grid, generator=generator))
        mixers = self._mixers()
        self.causal = all(mixer.causal for mixer in mixers)
        self.permutation_equivariant = all(mixer.permutation_equivariant for mixer in mixers)
        sizes = [mixer.state_size for mixer in mixers]
        self.state_size = None if None in sizes else sum(size for size in sizes if size is not None)

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self._chained(self._mixers(), x, mask, coords)

    def reference(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        return self._chained([mixer.reference for mixer in self._mixers()], x, mask, coords)

    def _chained(self, maps: Sequence[Callable[..., Tensor]], x: Tensor, mask: Mask, coords: Coords) -> Tensor:
        x = without_padding(x, mask)
        y = maps[0](x, mask, coords)
        for each in maps[1:]:
            y = y + each(F.rms_norm(x + y, x.shape[-1:], eps=1e-6), mask, coords)
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
