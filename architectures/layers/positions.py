"""Positional encodings. All index route steps, so they follow the scan; `2d` alone indexes coords."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from harness.contracts.errors import UserError
from harness.contracts.mixer import Coords, Steps

Positions: TypeAlias = Literal["none", "learned", "sinusoidal", "rotary", "2d"]

BASE = 10_000.0


class AddedPositions(nn.Module):
    """What is added to the tokens before they are projected: nothing for `none` and `rotary`.

    learned: a table [length, width], drawn with the mean square of the sinusoids (1/2), so that no encoding starts out
        louder than another; tokens have mean square 1.
    """

    def __init__(self, kind: Positions, width: int, length: int, generator: torch.Generator):
        super().__init__()
        self.kind = kind
        if kind == "learned":
            self.table = nn.Parameter(torch.randn(length, width, generator=generator) * math.sqrt(0.5))

    def forward(self, x: Steps, coords: Coords) -> Steps:
        length, width = x.shape[1:]
        if self.kind == "learned":
            if length > len(self.table):
                raise UserError(
                    f"positions=learned has a table of {len(self.table)} steps, got a sequence of {length};"
                    f" build it for that length or take positions=sinusoidal"
                )
            return x + self.table[:length]
        if self.kind == "sinusoidal":
            return x + sinusoids(torch.arange(length, device=x.device), width).to(x.dtype)
        if self.kind == "2d":
            if coords is None:
                raise UserError("positions=2d needs the cell at each step, got none; hand over coords")
            rows, columns = coords.unbind(-1)
            halves = [sinusoids(rows, width - width // 2), sinusoids(columns, width // 2)]
            return x + torch.cat(halves, dim=-1).to(x.dtype)
        return x


def sinusoids(index: Int[Tensor, "*places"], width: int) -> Float[Tensor, "*places width"]:
    """Sines, then cosines, of `index` at geometrically spaced frequencies (arXiv 1706.03762, section 3.5), float64."""
    angle = _angles(index, (width + 1) // 2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[..., :width]


def rotate(x: Float[Tensor, "batch heads length channels"]) -> Float[Tensor, "batch heads length channels"]:
    """Rotary encoding (arXiv 2104.09864, Eq. 34): the pair (i, i + channels/2) turns by step times frequency i.

    Products of two rotated vectors depend on the difference of their steps only. `channels` must be even.
    """
    length, channels = x.shape[-2:]
    angle = _angles(torch.arange(length, device=x.device), channels // 2)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def _angles(index: Tensor, count: int) -> Tensor:
    exponent = torch.arange(count, dtype=torch.float64, device=index.device) / max(count, 1)
    return index[..., None].double() * BASE**-exponent
