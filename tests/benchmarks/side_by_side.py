"""What a user would otherwise pick for Mamba's scan and for attention in a window, timed side by side.

    python tests/benchmarks/side_by_side.py
    python tests/benchmarks/side_by_side.py --scan 64x64x128x16 --scan 8x1024x256x16 --attention 4x4x1024x16:16

One thread, float32, forward and backward to every input. Each contender is first compared with a float64 reference, in
output and gradients, and gets no speed where it differs; then all take samples in turn, round after round. Ratios are
speeds over the first contender's: larger is faster. Contenders whose package is missing are named with the reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.architectures.kernels.local_attention import blocked_attention
from harness.architectures.kernels.selective_scan import last_path, selective_scan, selective_scan_reference
from harness.architectures.mixers.mamba_package import load_privately
from harness.checking import agrees, relative_difference
from harness.executors import WORKER_ENVIRONMENT
from harness.provenance import processor
from harness.tables import markdown_table
from harness.timing import NOISY_SPREAD, Phases, seconds_of, spread

Run = Callable[..., Tensor]
SLOW_SECONDS = 20.0
"""A contender whose call takes longer is not waited for again; its one time stands with a note."""


# Mamba's scan: u, delta [batch, channels, length], A [channels, state], B, C [batch, state, length].


def unbind_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The loop one writes first, at its best: unbind() instead of indexing, which has a quadratic backward."""
    state = u.new_zeros(u.shape[0], *A.shape)
    outputs = []
    for x, step, b, c in zip(u.unbind(2), delta.unbind(2), B.unbind(2), C.unbind(2), strict=True):
        state = torch.exp(step[..., None] * A) * state + (step * x)[..., None] * b[:, None]
        outputs.append((state @ c[..., None])[..., 0])
    return torch.stack(outputs, dim=2)


def discretized(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and inputs of every step, [batch, length, channels, state], as parallel scans want them."""
    step = delta.transpose(1, 2)[..., None]
    return torch.exp(step * A), step * u.transpose(1, 2)[..., None] * B.transpose(1, 2)[:, :, None]


def with_mambapy() -> tuple[str, Run]:
    from mambapy.pscan import pscan  # pyright: ignore[reportMissingImports]

    def run(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        states = pscan(*discretized(u, delta, A, B))
        return (states @ C.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)

    return f"mambapy {importlib.metadata.version('mambapy')} pscan", run


def with_mamba_ssm() -> tuple[str, Run]:
    module: Any = load_privately("mamba_ssm.ops.selective_scan_interface")
    return f"mamba-ssm {importlib.metadata.version('mamba-ssm')} selective_scan_ref", module.selective_scan_ref


def with_transformers() -> tuple[str, Run]:
    from transformers.models.mamba import modeling_mamba  # pyright: ignore[reportMissingImports]

    scan = getattr(modeling_mamba, "mamba_selective_scan", None)
    if scan is None:
        raise ImportError("this transformers keeps its slow path inside a module; version 5 has it as a function")
    # Unwrapped: the decorated function takes another package's kernel where it finds one.
    return f"transformers {importlib.metadata.version('transformers')} slow path", inspect.unwrap(scan)


def with_associative_scan() -> tuple[str, Run]:
    from torch._higher_order_ops.associative_scan import associative_scan

    def combine(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return left[0] * right[0], right[0] * left[1] + right[1]

    def run(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        _, states = associative_scan(combine, discretized(u, delta, A, B), dim=1, combine_mode="generic")
        return (states @ C.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)

    return f"torch {torch.__version__} associative_scan", run


def ours() -> tuple[str, Run]:
    return "this project's selective_scan", selective_scan


def scan_inputs(batch: int, length: int, channels: int, state: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    # Step sizes about log-uniform in .001 to .1, and the rates that Mamba starts from.
    delta = torch.exp(torch.rand(batch, channels, length, generator=generator) * 4.6 - 6.9)
    A = -torch.arange(1.0, state + 1).expand(channels, -1).contiguous()
    return [normal(batch, channels, length), delta, A, normal(batch, state, length), normal(batch, state, length)]


def base() -> tuple[str, Run]:
    return "unbind loop, autograd", unbind_loop


SCANS = (base, ours, with_mamba_ssm, with_transformers, with_mambapy, with_associative_scan)


# Attention in a window: queries, keys, values [batch, heads, length, channels].


def band(length: int, window: int) -> Tensor:
    step = torch.arange(length)
    return (step[None] - step[:, None]).abs() <= window


def attentions(length: int, window: int) -> Sequence[Callable[[], tuple[str, Run]]]:
    seen = band(length, window)

    def naive(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v

    def banded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)

    def blocked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return blocked_attention(q, k, v, window)

    named = {"naive masked attention": naive, "torch SDPA, banded mask": banded, "this project's blocks": blocked}
    return [lambda name=name, run=run: (name, run) for name, run in named.items()]


# The comparison.


def compare(
    makers: Sequence[Callable[[], tuple[str, Run]]], reference: Run, inputs: list[Tensor], tokens: int, rounds: int
) -> str:
    """A Markdown table of all contenders, and below it what could not run and why."""
    exact = trained(reference, [tensor.double() for tensor in inputs])()
    found: dict[str, tuple[Phases | float, str]] = {}
    missing = []
    for maker in makers:
        name = maker.__name__.removeprefix("with_")
        try:
            name, run = maker()
            timed, errors = checked(trained(run, inputs), exact)
            if agrees(*errors):
                name += f" ({last_path()})" if run is selective_scan else ""
                found[name] = (timed, f"{errors[0]:.0e}/{errors[1]:.0e}")
            else:
                missing.append(f"{name}: no speed, off the float64 reference by {errors[0]:.1e}/{errors[1]:.1e}")
        except Exception as error:
            missing.append(f"{name}: did not run, {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}")
        print(f"  checked {name}", file=sys.stderr)
    for _ in range(rounds + 1):
        for timed, _ in found.values():
            if isinstance(timed, Phases):
                timed.sample()
    return "\n".join([table(found, tokens), "", *(f"- {line}" for line in missing)])


def checked(call: Callable[[], list[Tensor]], exact: list[Tensor]) -> tuple[Phases | float, tuple[float, float]]:
    """What is to be timed (or the seconds of a call too slow to repeat), and the errors of output and gradients."""
    results: list[list[Tensor]] = []
    seconds = seconds_of(lambda: results.append(call()))
    output, *gradients = (relative_difference(a, b) for a, b in zip(results[0], exact, strict=True))
    worst = max(gradients) if not any(map(math.isnan, gradients)) else math.nan
    return Phases({"training": call}) if seconds < SLOW_SECONDS else seconds, (output, worst)


def trained(run: Run, inputs: list[Tensor]) -> Callable[[], list[Tensor]]:
    """A call that returns the output and the gradient of its weighted sum to every input."""
    wanted = [tensor.clone().requires_grad_() for tensor in inputs]
    weight = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1)).to(inputs[0].dtype)

    def call() -> list[Tensor]:
        y = run(*wanted)
        return [y.detach(), *torch.autograd.grad(y, wanted, weight)]

    return call


def table(found: dict[str, tuple[Phases | float, str]], tokens: int) -> str:
    seconds = {
        name: timed.medians["training"] if isinstance(timed, Phases) else timed for name, (timed, _) in found.items()
    }
    base = next(iter(seconds.values()), 1.0)
    notes = [
        ("noisy" if spread(timed.seconds["training"]) > NOISY_SPREAD else "")
        if isinstance(timed, Phases)
        else "one call only: it is slow"
        for timed, _ in found.values()
    ]
    return markdown_table(
        {
            "contender": list(found),
            "training ms": [f"{value * 1e3:,.1f}" for value in seconds.values()],
            "tokens/s": [f"{tokens / value:,.0f}" for value in seconds.values()],
            "ratio": [f"{base / value:.2f}" for value in seconds.values()],
            "relative error": [error for _, error in found.values()],
            "note": notes,
        }
    )


def numbers(text: str, pattern: str, form: str) -> list[int]:
    match = re.fullmatch(pattern, text)
    if match is None or not all(map(int, match.groups())):
        raise SystemExit(f"error: a shape is {form}, got {text!r}")
    return [int(group) for group in match.groups()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scan", action="append", metavar="BxLxDxN", help="batch, length, channels, state")
    parser.add_argument(
        "--attention", action="append", metavar="BxHxLxC:W", help="batch, heads, length, channels: window"
    )
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.rounds < 3:
        raise SystemExit(f"error: --rounds is 3 or more, got {options.rounds}")
    default = options.scan is None and options.attention is None
    torch.set_num_threads(1)
    print(f"{processor()}, torch {torch.__version__}, one thread, float32, {options.rounds} interleaved rounds\n")
    for text in ["16x64x128x16", "8x256x64x16"] if default else options.scan or []:
        shape = numbers(text, r"(\d+)x(\d+)x(\d+)x(\d+)", "BATCHxLENGTHxCHANNELSxSTATE")
        print(f"Mamba's scan, batch {shape[0]}, length {shape[1]}, channels {shape[2]}, state {shape[3]}; training\n")
        print(compare(SCANS, selective_scan_reference, scan_inputs(*shape), shape[0] * shape[1], options.rounds) + "\n")
    for text in ["4x4x256x8:8", "4x4x1024x8:16"] if default else options.attention or []:
        *shape, window = numbers(text, r"(\d+)x(\d+)x(\d+)x(\d+):(\d+)", "BATCHxHEADSxLENGTHxCHANNELS:WINDOW")
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.randn(*shape, generator=generator) for _ in range(3)]
        makers = attentions(shape[2], window)
        print(
            f"attention, batch {shape[0]}, heads {shape[1]}, length {shape[2]}, channels {shape[3]}, window {window}\n"
        )
        print(compare(makers, makers[0]()[1], inputs, shape[0] * shape[2], options.rounds) + "\n")


if __name__ == "__main__":
    if not WORKER_ENVIRONMENT.keys() <= os.environ.keys():
        # Without these, whoever makes large temporaries pays page faults on each: the harness's workers have them too.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_ENVIRONMENT})
    main()
