"""Ways to compute Mamba's scan that one would otherwise pick.

All take u, delta [batch, channels, length], A [channels, state], B, C [batch, state, length] and return
[batch, channels, length].
"""

from __future__ import annotations

import importlib.metadata
import inspect
import warnings
from typing import Any

import torch
from comparison import Contender
from torch import Tensor

from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.selective_scan import selective_scan
from harness.architectures.ops.selective_scan_cpp import cpp_available

COMPILED_STEPS = 16
"""Steps a compiled body: 8 run at two thirds of its speed, 32 no faster and compile twice as long."""


def scan_inputs(batch: int, length: int, channels: int, state: int) -> list[Tensor]:
    """Step sizes about log-uniform in .001 to .1, and the rates that Mamba starts from."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    delta = torch.exp(torch.rand(batch, channels, length, generator=generator) * 4.6 - 6.9)
    A = -torch.arange(1.0, state + 1).expand(channels, -1).contiguous()
    return [normal(batch, channels, length), delta, A, normal(batch, state, length), normal(batch, state, length)]


def first_steps(inputs: list[Tensor], steps: int) -> list[Tensor]:
    """The inputs of so many first steps."""
    return [tensor[..., :steps].contiguous() if tensor.ndim == 3 else tensor for tensor in inputs]


def steps_first(*sequences: Tensor) -> tuple[Tensor, ...]:
    """Each [length, batch, lanes], contiguous: a loop that takes steps apart then reads neighbours."""
    return tuple(sequence.permute(2, 0, 1).contiguous() for sequence in sequences)


def next_state(state: Tensor, x: Tensor, step: Tensor, b: Tensor, A: Tensor) -> Tensor:
    """One step of the recurrence: state [batch, channels, state], x, step [batch, channels], b [batch, state]."""
    return torch.exp(step[..., None] * A) * state + (step * x)[..., None] * b[:, None]


def unbind_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The loop one writes first, at its best: unbind() instead of indexing, which has a quadratic backward."""
    state = u.new_zeros(u.shape[0], *A.shape)
    outputs = []
    for x, step, b, c in zip(u.unbind(2), delta.unbind(2), B.unbind(2), C.unbind(2), strict=True):
        state = next_state(state, x, step, b, A)
        outputs.append((state @ c[..., None])[..., 0])
    return torch.stack(outputs, dim=2)


def discretized(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and inputs of every step, [batch, length, channels, state], as parallel scans want them."""
    step = delta.transpose(1, 2)[..., None]
    return torch.exp(step * A), step * u.transpose(1, 2)[..., None] * B.transpose(1, 2)[:, :, None]


def base() -> Contender:
    return Contender(name="unbind loop, autograd", run=unbind_loop)


def ours() -> Contender:
    path = "cpp" if cpp_available() else "torch loop"
    return Contender(name=f"this project's selective_scan ({path})", run=selective_scan)


def with_mambapy() -> Contender:
    from mambapy.pscan import pscan  # pyright: ignore[reportMissingImports]

    def run(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        states = pscan(*discretized(u, delta, A, B))
        return (states @ C.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)

    return Contender(name=f"mambapy {importlib.metadata.version('mambapy')} pscan", run=run)


def with_mamba_ssm() -> Contender:
    module: Any = load_privately("mamba_ssm.ops.selective_scan_interface")
    version = importlib.metadata.version("mamba-ssm")
    return Contender(name=f"mamba-ssm {version} selective_scan_ref", run=module.selective_scan_ref)


def with_transformers() -> Contender:
    from transformers.models.mamba import modeling_mamba  # pyright: ignore[reportMissingImports]

    scan = getattr(modeling_mamba, "mamba_selective_scan", None)
    if scan is None:
        raise ImportError("this transformers keeps its slow path inside a module; version 5 has it as a function")
    # Unwrapped: the decorated function takes another package's kernel where it finds one.
    version = importlib.metadata.version("transformers")
    return Contender(name=f"transformers {version} slow path", run=inspect.unwrap(scan))


def with_associative_scan() -> Contender:
    from torch._higher_order_ops.associative_scan import associative_scan

    def combine(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return left[0] * right[0], right[0] * left[1] + right[1]

    def run(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        _, states = associative_scan(combine, discretized(u, delta, A, B), dim=1, combine_mode="generic")
        return (states @ C.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)

    return Contender(name=f"torch {torch.__version__} associative_scan", run=run)


def with_compiled_scan() -> Contender:
    """torch's scan operator over the states, compiled; the read-out is one product over all of them."""
    from torch._higher_order_ops.scan import scan

    def whole(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        sequences = steps_first(u, delta, B)

        def body(state: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            state = next_state(state, *now, A)
            return state, state.clone()  # the operator refuses an output that is the state itself

        _, states = scan(body, u.new_zeros(u.shape[0], *A.shape), sequences)
        return (states * steps_first(C)[0][:, :, None]).sum(-1).permute(1, 2, 0)

    _compile_afresh()
    torch._dynamo.config.capture_scalar_outputs = True  # the operator's loop counter stops the compiler otherwise
    run = torch.compile(whole, dynamic=False)
    return Contender(name=f"torch {torch.__version__} scan operator, compiled", run=run, compiled=True)


def with_compiled_steps() -> Contender:
    """A loop over bodies of several steps, each compiled to a few kernels forward and backward."""

    def steps(state: Tensor, x: Tensor, step: Tensor, b: Tensor, c: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for now in zip(x.unbind(), step.unbind(), b.unbind(), c.unbind(), strict=True):
            state = next_state(state, *now[:3], A)
            outputs.append((state * now[3][:, None]).sum(-1))
        return state, torch.stack(outputs)

    _compile_afresh()
    compiled = torch.compile(steps, dynamic=False)

    def run(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        parts = (sequence.split(COMPILED_STEPS) for sequence in steps_first(u, delta, B, C))
        state, outputs = u.new_zeros(u.shape[0], *A.shape), []
        for part in zip(*parts, strict=True):
            state, y = compiled(state, *part, A)
            outputs.append(y)
        return torch.cat(outputs).permute(1, 2, 0)

    return Contender(name=f"torch loop of compiled {COMPILED_STEPS}-step bodies", run=run, compiled=True)


def _compile_afresh() -> None:
    """Nothing from earlier shapes or runs, so that the seconds of compiling are what a first call takes."""
    import torch._dynamo
    import torch._inductor.config

    torch._dynamo.reset()
    torch._inductor.config.force_disable_caches = True
    warnings.filterwarnings("ignore", "dynamo_pgo force disabled")


SCANS = (
    base, ours, with_mamba_ssm, with_transformers, with_mambapy, with_associative_scan, with_compiled_scan,
    with_compiled_steps,
)  # fmt: skip
