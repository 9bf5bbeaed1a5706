"""minGRU's recurrence over gated_average.cpp, with a gradient; `log_scan` has the form in torch operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.contracts.cpp_operator import CppOperator

CPP = CppOperator(
    name="gated average cpp",
    source=Path(__file__).with_suffix(".cpp"),
    numbers=("batch", "length", "channels"),
    tensors=dict.fromkeys(("gate", "candidate", "h", "grad_h", "grad_gate", "grad_candidate"), 2),
)


def gated_average_cpp(
    gate: Float[Tensor, "batch length width"], candidates: Float[Tensor, "batch length width"]
) -> Float[Tensor, "batch length width"]:
    """h_t of `gated_average_reference`, for tensors that `CPP.serves`."""
    return _GatedAverage.apply(gate, candidates)


def _run(function: str, **tensors: Tensor) -> None:
    batch, length, channels = tensors["gate"].shape
    CPP.run(function, {"batch": batch, "length": length, "channels": channels}, tensors)


class _GatedAverage(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, candidate: Tensor) -> Tensor:
        h = gate.new_empty(gate.shape)
        _run("forward", gate=gate, candidate=candidate, h=h)
        ctx.save_for_backward(gate, candidate, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor, Tensor]:
        gate, candidate, h = ctx.saved_tensors
        grad_gate, grad_candidate = gate.new_empty(gate.shape), gate.new_empty(gate.shape)
        given = {"gate": gate, "candidate": candidate, "h": h, "grad_h": grad_h}
        _run("backward", **given, grad_gate=grad_gate, grad_candidate=grad_candidate)
        return grad_gate, grad_candidate
