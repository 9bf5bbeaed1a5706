"""Contenders checked against a float64 reference, then timed in turn: what side_by_side.py does with each shape."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.analysis.tables import markdown_table
from harness.analysis.tolerances import NOISY_SPREAD, agrees
from harness.timing.checking import relative_difference
from harness.timing.sampling import Phases, seconds_of, spread

Run = Callable[..., Tensor]
SLOW_SECONDS = 4.0
"""A contender whose call takes longer is not waited for again."""

LONGEST_SECONDS = 10.0
"""One that would take longer, were its time in proportion to the length, is not run in full."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to compute the same thing. compiled: its first call compiles, and counts for no speed."""

    name: str
    run: Run
    compiled: bool = False


Maker = Callable[[], Contender]
"""Makes a contender, or says by an exception why it cannot run here."""


@dataclass(kw_only=True)
class Entry:
    """A contender that agreed with the reference: samples to come, or the least seconds of one too slow for them."""

    name: str
    errors: tuple[float, float]
    timed: Phases | None = None
    least_seconds: float = 0.0
    note: str = ""

    @property
    def samples(self) -> list[float]:
        return self.timed.seconds["training"] if self.timed else []

    @property
    def seconds(self) -> float:
        return self.timed.medians["training"] if self.timed else self.least_seconds


@dataclass(kw_only=True)
class Problem:
    """Inputs to be trained on, and the same cut to `part` of the work, for those that may be too slow for the whole."""

    reference: Run
    inputs: list[Tensor]
    tokens: int
    shorter: list[Tensor] | None = None
    part: float = 1.0


def compare(
    makers: Sequence[Maker], problem: Problem, rounds: int, in_turn: Callable[[], None] = lambda: None
) -> tuple[list[Entry], list[str]]:
    """Check all contenders, then take samples of all in turn; `in_turn` is called once a round as well.

    Returns:
        who agreed with the reference, in the order given, and a line for each of the others: why it is left out.
    """
    entries: list[Entry] = []
    missing: list[str] = []
    exact = trained(problem.reference, [tensor.double() for tensor in problem.inputs])()
    for maker in makers:
        name = maker.__name__.removeprefix("with_")
        try:
            contender = maker()
            name = contender.name
            entry = _entry(contender, problem, exact)
            if agrees(*entry.errors):
                entries.append(entry)
            else:
                missing.append(f"{name}: no speed, off the float64 reference by {_text(entry.errors)}")
        except Exception as error:
            missing.append(f"{name}: did not run, {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}")
        print(f"  checked {name}", file=sys.stderr)
    for _ in range(rounds + 1):
        in_turn()
        for entry in entries:
            if entry.timed:
                entry.timed.sample()
    return entries, missing


def _entry(contender: Contender, problem: Problem, exact: list[Tensor]) -> Entry:
    call = trained(contender.run, problem.inputs)
    results: list[list[Tensor]] = []
    if problem.shorter is not None and not contender.compiled:
        shorter = trained(contender.run, problem.shorter)
        seconds = seconds_of(lambda: results.append(shorter()))
        if seconds > problem.part * LONGEST_SECONDS:
            doubles = [tensor.double() for tensor in problem.shorter]
            errors = _errors(results[0], trained(problem.reference, doubles)())
            note = f"not run in full: {problem.part:g} of the length took {seconds:.1f} s, so it takes at least this"
            return Entry(name=contender.name, errors=errors, least_seconds=seconds / problem.part, note=note)
    seconds = seconds_of(lambda: results.append(call()))
    entry = Entry(name=contender.name, errors=_errors(results[-1], exact))
    if contender.compiled:
        entry.note = f"compiling took {seconds:.0f} s"
        seconds = seconds_of(call)
    if seconds < SLOW_SECONDS:
        entry.timed = Phases({"training": call})
    else:
        entry.least_seconds, entry.note = seconds, f"{entry.note} one call only: it is slow".strip()
    return entry


def trained(run: Run, inputs: list[Tensor]) -> Callable[[], list[Tensor]]:
    """A call that returns the output and the gradient of its weighted sum to every input."""
    wanted = [tensor.clone().requires_grad_() for tensor in inputs]
    weight = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1)).to(inputs[0].dtype)

    def call() -> list[Tensor]:
        y = run(*wanted)
        return [y.detach(), *torch.autograd.grad(y, wanted, weight)]

    return call


def _errors(found: list[Tensor], exact: list[Tensor]) -> tuple[float, float]:
    """Of the output, and the worst of the gradients."""
    output, *gradients = (relative_difference(a, b) for a, b in zip(found, exact, strict=True))
    return output, max(gradients) if not any(map(math.isnan, gradients)) else math.nan


def _text(errors: tuple[float, float]) -> str:
    return f"{errors[0]:.0e}/{errors[1]:.0e}"


def table(entries: Sequence[Entry], tokens: int) -> str:
    """A Markdown table; ratios are speeds over the first one's."""
    base = entries[0].seconds if entries else 1.0
    bound = ["" if entry.timed else "at least " if "at least" in entry.note else "" for entry in entries]
    noisy = ["noisy" if len(e.samples) > 1 and spread(e.samples) > NOISY_SPREAD else "" for e in entries]
    return markdown_table(
        {
            "contender": [entry.name for entry in entries],
            "training ms": [f"{b}{e.seconds * 1e3:,.1f}" for b, e in zip(bound, entries, strict=True)],
            "tokens/s": [
                f"{'at most ' * bool(b)}{tokens / e.seconds:,.0f}" for b, e in zip(bound, entries, strict=True)
            ],
            "ratio": [f"{'at most ' * bool(b)}{base / e.seconds:.2g}" for b, e in zip(bound, entries, strict=True)],
            "relative error": [_text(entry.errors) for entry in entries],
            "note": ["; ".join(filter(None, [e.note, n])) for e, n in zip(entries, noisy, strict=True)],
        }
    )
