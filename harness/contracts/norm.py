"""Norms over a step's channels, as the backbone and the mixers take them: norm.cpp on a CPU, torch elsewhere.

torch's own RMS norm is made of eight operations on a CPU and takes longer than a projection of the same width.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .cpp_operator import CppOperator

CPP = CppOperator(
    name="norm cpp",
    source=Path(__file__).with_suffix(".cpp"),
    numbers=("rows", "groups", "size", "centered", "gate_first"),
    tensors={
        "eps": 0, "weight": 0, "bias": 0, **dict.fromkeys(("x", "gate", "y", "grad_y", "grad_x", "grad_gate"), 1),
        "grad_weight": 0, "grad_bias": 0,
    },
)  # fmt: skip


class RMSNorm(nn.RMSNorm):
    """torch's, over one dimension."""

    def forward(self, x: Float[Tensor, "*rows channels"]) -> Float[Tensor, "*rows channels"]:
        return rms_norm(x, self.weight, self.eps)


def rms_norm(
    x: Float[Tensor, "*rows channels"],
    weight: Float[Tensor, " channels"] | Float[Tensor, " size"] | None = None,
    eps: float | None = None,
    *,
    groups: int = 1,
    gate: Float[Tensor, "*rows channels"] | None = None,
    gate_first: bool = False,
) -> Float[Tensor, "*rows channels"]:
    """Each group of neighbouring channels over its root mean square, times the weight.

    Args:
        weight: one for each channel, or for each of a group where all groups share it.
        eps: added to the mean square; torch's default for None. gate: the result is multiplied by SiLU of it, or with
            `gate_first` what goes into the norm.

    >>> rms_norm(torch.tensor([3.0, 4.0, 0.0, 2.0]), groups=2)
    tensor([0.8485, 1.1314, 0.0000, 1.4142])
    """
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    if CPP.serves(x, weight, gate):
        if weight is not None and weight.shape[0] != x.shape[-1]:
            weight = weight.repeat(groups)
        return _Norm.apply(x, weight, None, gate, groups, eps, False, gate_first)
    if gate is not None and gate_first:
        x = x * F.silu(gate)
    if weight is not None and weight.shape[0] == x.shape[-1] and groups > 1:
        y = F.rms_norm(x.unflatten(-1, (groups, -1)), (x.shape[-1] // groups,), None, eps).flatten(-2) * weight
    else:
        y = F.rms_norm(x.unflatten(-1, (groups, -1)), (x.shape[-1] // groups,), weight, eps).flatten(-2)
    return y if gate is None or gate_first else y * F.silu(gate)


def group_norm(
    x: Float[Tensor, "*rows channels"], norm: nn.GroupNorm, gate: Float[Tensor, "*rows channels"] | None = None
) -> Float[Tensor, "*rows channels"]:
    """`norm` of each row's channels, every row by itself; with a gate the result is multiplied by SiLU of it."""
    if CPP.serves(x, norm.weight, norm.bias, gate):
        return _Norm.apply(x, norm.weight, norm.bias, gate, norm.num_groups, norm.eps, True, False)
    y = norm(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
    return y if gate is None else y * F.silu(gate)


@functools.cache
def _number(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def _run(function: str, settings: tuple[int, float, bool, bool], x: Tensor, **others: Tensor | None) -> None:
    groups, eps, centered, gate_first = settings
    numbers = {
        "rows": x.numel() // x.shape[-1], "groups": groups, "size": x.shape[-1] // groups, "centered": centered,
        "gate_first": gate_first,
    }  # fmt: skip
    rows = {"x", "gate", "y", "grad_y", "grad_x", "grad_gate"}
    given = {"x": x, **others}
    given = {name: t.flatten(0, -2) if t is not None and name in rows else t for name, t in given.items()}
    CPP.run(function, numbers, {**given, "eps": _number(eps)})


class _Norm(torch.autograd.Function):
    """(x, weight, bias, gate, groups, eps, centered, gate first) -> y."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, gate: Tensor | None, *settings: Any
    ) -> Tensor:
        y = x.new_empty(x.shape)
        _run("forward", settings, x, weight=weight, bias=bias, gate=gate, y=y)
        ctx.settings = settings
        ctx.save_for_backward(x, weight, bias, gate)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, gate = ctx.saved_tensors
        gradients = {
            "grad_x": x.new_empty(x.shape),
            "grad_weight": None if weight is None else torch.empty_like(weight),
            "grad_bias": None if bias is None else torch.empty_like(bias),
            "grad_gate": None if gate is None else gate.new_empty(gate.shape),
        }
        _run("backward", ctx.settings, x, weight=weight, bias=bias, gate=gate, grad_y=grad_y, **gradients)
        return (*gradients.values(), None, None, None, None)
