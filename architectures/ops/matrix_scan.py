"""The recurrence of matrix states that gated linear attention, gated DeltaNet and RWKV-7 share.

    S_t = diag(w_t) S_{t-1} + a_t (r_t^T S_{t-1}) + k_t v_t^T,   o_t = S_t^T q_t,   w_t = exp(log_decay_t)

over matrix_scan.cpp, with a gradient. What is kept for that is the state before every 16th step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.contracts.compiled import load
from harness.contracts.cpp_operator import FUNCTIONS, CppOperator

from .shapes import Keys, Values

CHUNK = 16  # as in the source
INPUTS = ("q", "k", "v", "log_decay", "removed", "added")
CPP = CppOperator(
    name="matrix scan cpp",
    source=Path(__file__).with_suffix(".cpp"),
    numbers=("batch", "heads", "length", "keys", "values", "key_decay"),
    tensors={
        **dict.fromkeys((*INPUTS, "o"), 3), "states": 0, **dict.fromkeys(("grad_o", *(f"grad_{n}" for n in INPUTS)), 3)
    },
)  # fmt: skip


class Inputs(NamedTuple):
    """The arguments of the recurrence, as `matrix_scan` has them."""

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor
    removed: Tensor | None
    added: Tensor | None


def matrix_scan(
    queries: Keys,
    keys: Keys,
    values: Values,
    log_decay: Float[Tensor, "#batch heads length decays"],
    removed: Keys | None = None,
    added: Keys | None = None,
) -> Values:
    """The outputs o_t, of tensors that `CPP.serves` (log_decay may be of another type); a step's heads side by side.

    Args:
        log_decay: one number a head and step, or one a key. removed, added: r and a, both or neither; without them
            log_decay has one a key.
    """
    log_decay = log_decay.to(values.dtype).expand(len(values), -1, -1, -1)
    inputs = Inputs(queries, keys, values, log_decay, removed, added)
    return _MatrixScan.apply(*inputs, torch.is_grad_enabled())


def _run(function: str, inputs: Inputs, **others: Tensor | None) -> None:
    batch, heads, length, keys = inputs.q.shape
    numbers = {
        "batch": batch, "heads": heads, "length": length, "keys": keys, "values": inputs.v.shape[3],
        "key_decay": inputs.removed is None or inputs.log_decay.shape[3] > 1,
    }  # fmt: skip
    CPP.run(function, numbers, {**inputs._asdict(), **others})


def _new_sequence(like: Tensor) -> Tensor:
    """Empty, of the shape of `like`, a step's heads side by side in memory."""
    batch, heads, length, entries = like.shape
    return like.new_empty(batch, length, heads, entries).transpose(1, 2)


def _new_states(inputs: Inputs) -> Tensor:
    """[batch, heads, chunks, blocks of columns, keys, lanes of a block]."""
    batch, heads, length, values = inputs.v.shape
    lanes = getattr(load(CPP.source), f"lanes_{FUNCTIONS[inputs.v.dtype]}")()
    return inputs.v.new_empty(batch, heads, -(-length // CHUNK), -(-values // lanes), inputs.q.shape[3], lanes)


class _MatrixScan(torch.autograd.Function):
    """(*Inputs, grad enabled where it was called) -> o."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        inputs = Inputs(*arguments[:-1])
        o = _new_sequence(inputs.v)
        states = _new_states(inputs) if arguments[-1] and any(ctx.needs_input_grad) else None
        _run("forward", inputs, o=o, states=states)
        ctx.save_for_backward(states, *inputs)
        return o

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_o: Tensor) -> tuple[Tensor | None, ...]:
        states, *tensors = ctx.saved_tensors
        gradients = [None if tensor is None else _new_sequence(tensor) for tensor in tensors]
        named = {f"grad_{name}": gradient for name, gradient in zip(INPUTS, gradients, strict=True)}
        _run("backward", Inputs(*tensors), grad_o=grad_o, states=states, **named)
        return (*gradients, None)
