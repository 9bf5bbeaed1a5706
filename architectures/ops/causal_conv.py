"""A causal depthwise convolution, mostly with SiLU behind it: causal_conv.cpp on a CPU, torch operations elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.contracts.cpp_operator import CppOperator

CPP = CppOperator(
    name="causal conv cpp",
    source=Path(__file__).with_suffix(".cpp"),
    numbers=("batch", "length", "channels", "taps", "silu"),
    tensors={"x": 2, "y": 2, "weight": 0, "bias": 0, "grad_y": 2, "grad_x": 2, "grad_weight": 0, "grad_bias": 0},
)


def depthwise_conv(channels: int, taps: int, bias: bool = True) -> nn.Conv1d | None:
    """One filter a channel for `causal_conv`, torch's own initialization; none of 0 taps."""
    return nn.Conv1d(channels, channels, taps, groups=channels, padding=taps - 1, bias=bias) if taps else None


def causal_conv(
    x: Float[Tensor, "batch length channels"], conv: nn.Conv1d | None, silu: bool = True
) -> Float[Tensor, "batch length channels"]:
    """SiLU of `conv` along the steps of x, each output of its own and earlier steps alone.

    conv: one filter a channel, as many taps as it pads at either end and one more; without one SiLU alone is left.
    silu: whether there is a SiLU.
    """
    if conv is not None and CPP.serves(x, conv.weight, conv.bias):
        return _CausalConv.apply(x, conv.weight, conv.bias, silu)
    return causal_conv_reference(x, conv, silu)


def causal_conv_reference(
    x: Float[Tensor, "batch length channels"], conv: nn.Conv1d | None, silu: bool = True
) -> Float[Tensor, "batch length channels"]:
    """The same by the module itself, whose outputs behind the last step are cut off."""
    x = x if conv is None else conv(x.mT)[..., : x.shape[1]].mT
    return F.silu(x) if silu else x


def uncounted_conv_flops(conv: nn.Conv1d | None, length: int) -> int:
    """What a count of torch's operations does not see of `causal_conv` on so many steps: nothing, or all of it."""
    if conv is None or conv.weight.device.type != "cpu" or not CPP.available():
        return 0
    return 2 * conv.weight.numel() * length


def _run(function: str, silu: bool, x: Tensor, weight: Tensor, **tensors: Tensor | None) -> None:
    batch, length, channels = x.shape
    numbers = {"batch": batch, "length": length, "channels": channels, "taps": weight.shape[2], "silu": silu}
    CPP.run(function, numbers, {"x": x, "weight": weight[:, 0].T, **tensors})


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool) -> Tensor:
        y = x.new_empty(x.shape)
        ctx.silu = silu
        _run("forward", silu, x, weight, bias=bias, y=y)
        ctx.save_for_backward(x, weight, bias)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        grad_x, grad_weight = x.new_empty(x.shape), x.new_empty(weight.shape[2], weight.shape[0])
        grad_bias = None if bias is None else torch.empty_like(bias)
        gradients = {"grad_x": grad_x, "grad_weight": grad_weight, "grad_bias": grad_bias}
        _run("backward", ctx.silu, x, weight, bias=bias, grad_y=grad_y, **gradients)
        return grad_x, grad_weight.T[:, None], grad_bias, None
