"""The selective scan of selective_scan.cpp as a torch operator with a gradient, for eager mode and torch.compile.

Sequences are [batch, channels, length] with any strides: channels innermost are read in whole vectors, and so is `y`
laid out. What the forward operator keeps for the gradient is the state before every 32nd step.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.contracts import compiled as cpp_library

SOURCE = Path(__file__).with_suffix("").with_name("selective_scan.cpp")
CHUNK, CHANNEL_PADDING = 32, 32  # as in the source
# The layout of what is kept is in the name: torch.compile finds earlier results on disk by names alone.
OPERATOR = f"scan_order_harness::selective_scan_{CHUNK}_{CHANNEL_PADDING}"
FUNCTIONS = {torch.float32: "float32", torch.float64: "float64"}
TENSORS = "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias"
SCHEMA = f"{TENSORS}, bool softplus, bool signed"


@torch.compiler.assume_constant_result
def cpp_available() -> bool:
    """Whether the kernel is there; the first call compiles it where it never was."""
    return cpp_library.cpp_wanted() and cpp_library.load(SOURCE) is not None


class Inputs(NamedTuple):
    """The arguments of `selective_scan`, on the CPU and of one dtype of FUNCTIONS. `bias` is that of delta."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    bias: Tensor | None
    softplus: bool
    signed: bool


def selective_scan_cpp(inputs: Inputs) -> Tensor:
    """The outputs y [batch, channels, length]."""
    wants_gradient = any(isinstance(value, Tensor) and value.requires_grad for value in inputs)
    # Out here, so that one copy serves forward and backward.
    inputs = inputs._replace(B=_states_innermost(inputs.B), C=_states_innermost(inputs.C))
    return _forward(*inputs, torch.is_grad_enabled() and wants_gradient)[0]


def _fields(kind: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names]


class Strided(ctypes.Structure):
    """A tensor [batch, lane, length] by address and strides; `lane` is a channel or a state."""

    _fields_ = [("data", ctypes.c_void_p), *_fields(ctypes.c_int64, "batch", "step", "lane")]


INPUTS, GRADIENTS = ("u", "delta", "z", "B", "C", "y"), ("grad_y", "grad_u", "grad_delta", "grad_z")
SEQUENCES, MAPS, CHANNEL_VALUES = frozenset(INPUTS + GRADIENTS), ("B", "C"), ("A", "D", "bias")


class Problem(ctypes.Structure):
    """The arguments of the C++ functions, in the order of its `struct Problem`."""

    _fields_ = [
        *_fields(ctypes.c_int64, "batch", "length", "channels", "state", "threads", "softplus", "is_signed"),
        *_fields(Strided, *INPUTS),
        *_fields(ctypes.c_void_p, "A", "D", "bias", "states"),
        *_fields(Strided, *GRADIENTS),
        *_fields(ctypes.c_void_p, "grad_A", "grad_D", "grad_bias", "grad_B", "grad_C"),
    ]


def _run(function: str, inputs: Inputs, **others: Tensor) -> None:
    """Calls a C++ function; `others` go to the fields of their names."""
    batch, channels, length = inputs.u.shape
    fields: dict[str, Any] = {}
    held = [*zip(Inputs._fields, inputs, strict=True), *others.items()]
    for index, (name, tensor) in enumerate(held):
        if not isinstance(tensor, Tensor) or tensor.numel() == 0:
            continue  # a null pointer says: not given, not wanted
        if name in MAPS:
            tensor = _states_innermost(tensor)
        elif name in CHANNEL_VALUES:
            tensor = tensor.contiguous()
        held[index] = name, tensor  # a copy lives as long as its address is used
        address = tensor.data_ptr()
        if name in SEQUENCES:
            along_batch, along_lanes, along_steps = tensor.stride()
            fields[name] = Strided(address, along_batch, along_steps, along_lanes)
        else:
            fields[name] = address
    choices = torch.get_num_threads(), inputs.softplus, inputs.signed
    problem = Problem(batch, length, channels, inputs.A.shape[1], *choices, **fields)
    library = cpp_library.load(SOURCE)
    if library is None:  # an exported graph that came to a machine without a compiler
        raise RuntimeError(f"the operator needs {SOURCE.name}, which cannot be compiled here; install a C++ compiler")
    getattr(library, f"{function}_{FUNCTIONS[inputs.u.dtype]}")(ctypes.byref(problem))


def _states_innermost(tensor: Tensor) -> Tensor:
    """The same [batch, state, length], with neighbouring states side by side in memory."""
    if tensor.stride(1) == 1 or tensor.shape[1] == 1:
        return tensor
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def _new_sequence(like: Tensor) -> Tensor:
    """Empty, of the shape of `like` with its second dimension innermost."""
    batch, lanes, length = like.shape
    return like.new_empty(batch, length, lanes).transpose(1, 2)


def _new_states(inputs: Inputs, keep: bool) -> Tensor:
    """[batch, chunks, state, padded channels], or nothing."""
    batch, channels, length = inputs.u.shape
    chunks, padded = -(-length // CHUNK), -(-channels // CHANNEL_PADDING) * CHANNEL_PADDING
    shape = (batch, chunks, inputs.A.shape[1], padded) if keep else (0,)
    return inputs.u.new_empty(shape) if padded == channels else inputs.u.new_zeros(shape)


def _forward_fake(*arguments: Any) -> tuple[Tensor, Tensor]:
    inputs = Inputs(*arguments[:-1])
    return _new_sequence(inputs.u), _new_states(inputs, keep=arguments[-1])


@torch.library.custom_op(
    OPERATOR,
    mutates_args=(),
    device_types="cpu",
    schema=f"({SCHEMA}, bool keep_states) -> (Tensor, Tensor)",
)
def _forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, states = _forward_fake(*arguments)
    _run("forward", Inputs(*arguments[:-1]), y=y, states=states)
    return y, states


def _backward_fake(grad_y: Tensor, states: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    """The gradients of the eight tensors among Inputs, in their order; empty for those not given."""
    inputs = Inputs(*arguments)
    nothing = inputs.u.new_empty(0)
    return (
        _new_sequence(inputs.u),
        _new_sequence(inputs.u),
        inputs.A.new_empty(inputs.A.shape),
        _new_sequence(inputs.B),
        _new_sequence(inputs.C),
        nothing if inputs.D is None else inputs.D.new_empty(inputs.D.shape),
        nothing.clone() if inputs.z is None else _new_sequence(inputs.z),
        nothing.clone() if inputs.bias is None else inputs.bias.new_empty(inputs.bias.shape),
    )


@torch.library.custom_op(
    f"{OPERATOR}_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"(Tensor grad_y, Tensor states, {SCHEMA}) -> ({', '.join(['Tensor'] * 8)})",
)
def _backward(grad_y: Tensor, states: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    gradients = _backward_fake(grad_y, states, *arguments)
    fields = {f"grad_{name}": gradient for name, gradient in zip(Inputs._fields, gradients, strict=False)}
    _run("backward", Inputs(*arguments), grad_y=grad_y, states=states, **fields)
    return gradients


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, softplus, signed, _ = inputs
    y, states = output
    ctx.choices = softplus, signed
    ctx.mark_non_differentiable(states)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(states, *tensors)


def _differentiate(ctx: Any, grad_y: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    states, *tensors = ctx.saved_tensors
    if grad_y is None:
        return (None,) * 11
    if states.numel() == 0:  # within torch.func.vmap tensors do not tell that a gradient will be asked for
        states = _forward(*tensors, *ctx.choices, True)[1]
    gradients = _backward(grad_y, states, *tensors, *ctx.choices)
    given = (gradient if tensor is not None else None for gradient, tensor in zip(gradients, tensors, strict=True))
    return (*given, None, None, None)


_forward.register_fake(_forward_fake)
_forward.register_autograd(_differentiate, setup_context=_keep)
_backward.register_fake(_backward_fake)
