"""The recurrence of matrix states that one number a head and step lets decay: Mamba-2's, Mamba-3's and RetNet's.

    S_t = a_t S_{t-1} + u_t k_t v_t^T,   o_t = S_t^T q_t + (d_t - u_t) (q_t^T k_t) v_t,   a_t = exp(log_decay_t)

over scalar_scan.cpp, with a gradient; signed, a_t is 2 exp(log_decay_t) - 1. What is kept for the gradient is the state
before every 16th step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.contracts.cpp_operator import CppOperator

from .shapes import Scalars, Values

SIDE = 16  # as in the source
ENTRIES, NUMBERS, BIASES = ("q", "k", "v"), ("log_decay", "weight", "own"), ("q_bias", "k_bias")
CPP = CppOperator(
    name="scalar scan cpp",
    source=Path(__file__).with_suffix(".cpp"),
    numbers=("batch", "groups", "heads", "length", "keys", "values", "angles", "is_signed"),
    tensors={
        **dict.fromkeys((*ENTRIES, *NUMBERS, "cosine", "sine", "o"), 3),
        **dict.fromkeys((*BIASES, "states"), 0),
        **dict.fromkeys(("grad_o", *(f"grad_{name}" for name in (*ENTRIES, *NUMBERS, "angle"))), 3),
        **dict.fromkeys([f"grad_{name}" for name in BIASES], 0),
    },
)


class Turn(NamedTuple):
    """How the heads of one group make their own queries and keys: a bias, then a turn of neighbouring pairs.

    angle: of the first pairs of a head at a step; the same for queries and keys.
    """

    q_bias: Float[Tensor, "heads keys"]
    k_bias: Float[Tensor, "heads keys"]
    angle: Float[Tensor, "batch heads length pairs"]


class Choices(NamedTuple):
    """signed: as `scalar_scan` has it. keep_states: a gradient may be asked for."""

    signed: bool
    keep_states: bool


class Inputs(NamedTuple):
    """The arguments of the recurrence, as `scalar_scan` has them; numbers as [batch, heads, length, 1]."""

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor
    weight: Tensor | None
    own: Tensor | None
    q_bias: Tensor | None
    k_bias: Tensor | None
    angle: Tensor | None


def scalar_scan(
    queries: Float[Tensor, "batch groups length keys"],
    keys: Float[Tensor, "batch groups length keys"],
    values: Values,
    log_decay: Float[Tensor, "#batch heads length"],
    weight: Scalars | None = None,
    own: Scalars | None = None,
    turn: Turn | None = None,
    *,
    signed: bool = False,
) -> Values:
    """The outputs o_t, of tensors that `CPP.serves` (log_decay may be of another type); a step's heads side by side.

    Heads of a group, neighbours, share queries and keys.

    Args:
        weight, own: u and d, 1 where they are None. turn: for one group. signed: decays are 2 exp(log_decay) - 1, in
            [-1, 1].
    """
    log_decay = log_decay.to(values.dtype)
    numbers = (n if n is None else n.expand(values.shape[:3])[..., None] for n in (log_decay, weight, own))
    choices = Choices(signed, torch.is_grad_enabled())
    return _ScalarScan.apply(queries, keys, values, *numbers, *(turn or (None, None, None)), choices)


def _run(function: str, inputs: Inputs, signed: bool, **others: Tensor | None) -> None:
    batch, groups, length, keys = inputs.q.shape
    heads, values = inputs.v.shape[1], inputs.v.shape[3]
    angle = inputs.angle
    numbers = {
        "batch": batch, "groups": groups, "heads": heads // groups, "length": length, "keys": keys, "values": values,
        "angles": 0 if angle is None else angle.shape[3], "is_signed": signed,
    }  # fmt: skip
    given = {name: tensor for name, tensor in inputs._asdict().items() if name != "angle"}
    if angle is not None:
        others = {**others, "cosine": angle.cos(), "sine": angle.sin()}
    CPP.run(function, numbers, {**given, **others})


def _new_sequence(like: Tensor) -> Tensor:
    """Empty, of the shape of `like`, a step's heads side by side in memory."""
    batch, heads, length, entries = like.shape
    return like.new_empty(batch, length, heads, entries).transpose(1, 2)


def _new_states(inputs: Inputs) -> Tensor:
    """[batch, heads, chunks, blocks of columns, keys, SIDE]; heads of a group lie within its chunks."""
    batch, heads, length, values = inputs.v.shape
    return inputs.v.new_empty(batch, heads, -(-length // SIDE), -(-values // SIDE), inputs.q.shape[3], SIDE)


class _ScalarScan(torch.autograd.Function):
    """(*Inputs, Choices) -> o."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        inputs, choices = Inputs(*arguments[:-1]), arguments[-1]
        o = _new_sequence(inputs.v)
        states = _new_states(inputs) if choices.keep_states and any(ctx.needs_input_grad) else None
        _run("forward", inputs, choices.signed, o=o, states=states)
        ctx.signed = choices.signed
        ctx.save_for_backward(states, *inputs)
        return o

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_o: Tensor) -> tuple[Tensor | None, ...]:
        states, *tensors = ctx.saved_tensors
        inputs = Inputs(*tensors)
        made = {
            name: tensor.new_empty(len(grad_o), *tensor.shape) if name in BIASES else _new_sequence(tensor)
            for name, tensor in inputs._asdict().items()
            if tensor is not None
        }
        _run(
            "backward",
            inputs,
            ctx.signed,
            grad_o=grad_o,
            states=states,
            **{f"grad_{name}": each for name, each in made.items()},
        )
        return (*(made[n].sum(0) if n in BIASES and n in made else made.get(n) for n in Inputs._fields), None)
