"""The mixers that pieces try: which there are, how one is built, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from harness.contracts.mixer import Mixer
from harness.registry import architectures

from .bench import Bench


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a mixer is tried on. padded: half of the sequences end half-way."""

    batch: int
    length: int
    width: int
    padded: bool = False

    def __str__(self) -> str:
        return f"{self.batch} x {self.length:,} x {self.width}" + ", half padded" * self.padded


def families() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names of its architectures), of those that come with the harness."""
    ours = sorted((entry.module, entry.name) for entry in architectures if entry.module.startswith("harness."))
    for module, entries in groupby(ours, key=lambda each: each[0]):
        yield module, tuple(name for _, name in entries)


def build(spec: str, shape: Shape, bench: Bench) -> Mixer:
    """A mixer on the device, every parameter moved a little off its initial value."""
    entry, values = architectures.parse(spec)
    generator = torch.Generator().manual_seed(0)
    grid = (1, shape.length)
    mixer: Mixer = entry.create(values, width=shape.width, length=shape.length, grid=grid, generator=generator)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return mixer.to(bench.device)


def inputs(shape: Shape, device: str) -> tuple[Tensor, Tensor | None, Tensor]:
    """Tokens of root mean square 1 [batch, length, width], the mask or None, coordinates [1, length, 2]."""
    x = torch.randn(shape.batch, shape.length, shape.width, generator=torch.Generator().manual_seed(1)).to(device)
    step = torch.arange(shape.length, device=device)
    mask = None
    if shape.padded:
        mask = step.expand(shape.batch, -1) < (shape.length + 1) // 2
        mask[::2] = True
    return x, mask, torch.stack([torch.zeros_like(step), step], dim=-1)[None]
