"""One architecture's line of a length sweep: a point a length, set up and checked, until something ends the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.analysis.growth import predicted
from harness.analysis.tolerances import agrees
from harness.contracts.errors import Unsupported, is_out_of_memory
from harness.contracts.mixer import Mixer
from harness.registry import architectures

from .checking import errors_against_reference, errors_on_prefix, reach_of
from .memory import peak_bytes
from .sampling import Phases, seconds_of

PREFIX_STEPS = 1024
"""Beyond `check_steps` the reference runs on so many first steps, where that is exact."""

PROFILE_SECONDS = 5.0
"""Reading the peak of memory records every operation; where that would take longer the peak is left out."""

NOTHING = {"kernel": None, "check": None, "relative_error": None, "gradient_relative_error": None, "peak_bytes": None}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is timed, and what it may cost.

    architectures: canonical specs. lengths: rising. rounds: samples of each phase at most; at least three.
    step_seconds: a call of training beyond this, measured or predicted from shorter lengths, ends a line.
    session_seconds: half for setting up, and no round begins that would end later; three are taken in any case.
    memory_bytes: likewise for what a call adds at its peak; None is half of what is available.
    check_steps: up to this length the reference runs on whole sequences. unchecked: time what cannot be checked too.
    """

    architectures: tuple[str, ...]
    lengths: tuple[int, ...]
    batch: int = 1
    width: int = 32
    rounds: int = 9
    device: str = "cpu"
    dtype: str = "float32"
    step_seconds: float = 0.5
    session_seconds: float = 90.0
    memory_bytes: int | None = None
    check_steps: int = 2048
    unchecked: bool = False


@dataclass
class CurvePoint:
    """One architecture at one length: what is known of it, and the phases to be timed (None: not timed)."""

    architecture: str
    length: int
    facts: dict[str, Any]
    phases: Phases | None = None


class NotTimed(Exception):
    """A point gets no speed. status: as in `speed_session`. ends: the line goes no further."""

    def __init__(self, status: str, reason: str, *, ends: bool = True):
        super().__init__(reason)
        self.status, self.ends = status, ends


@dataclass
class ScalingCurve:
    """An architecture on its way up the lengths; costs at the lengths so far predict those to come."""

    architecture: str
    sweep: Sweep
    memory_bytes: int
    ended: bool = False
    training_seconds: dict[int, float] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)
    profile_seconds: dict[int, float] = field(default_factory=dict)

    def point(self, length: int, *, out_of_time: bool = False) -> CurvePoint:
        """Set up the point at a length; whatever goes wrong is in its facts."""
        facts: dict[str, Any] = {"status": "timed", "reason": None, **NOTHING}
        phases = None
        try:
            self._hold_budgets(length, out_of_time)
            phases = self._phases(length, facts)
        except NotTimed as error:
            facts |= {"status": error.status, "reason": str(error)}
            self.ended = error.ends
        except Exception as error:  # whatever a mixer does, the other lines go on
            supported = not isinstance(error, Unsupported)
            facts |= failure(error) if supported else {"status": "unsupported", "reason": str(error)}
            self.ended = True
        return CurvePoint(architecture=self.architecture, length=length, facts=facts, phases=phases)

    def _hold_budgets(self, length: int, out_of_time: bool) -> None:
        if out_of_time:
            raise NotTimed("over-budget", f"half of the session's {self.sweep.session_seconds:g} s was used before it")
        seconds = predicted(self.training_seconds, length)
        if seconds is not None and seconds > self.sweep.step_seconds:
            limit = f"--step-seconds {self.sweep.step_seconds:g}"
            raise NotTimed("over-budget", f"a training call would take about {seconds:.2g} s, over {limit}")
        peak = predicted(self.peaks, length)
        if peak is not None and peak > self.memory_bytes:
            limit = f"the {self.memory_bytes / 2**30:.1f} GiB allowed (--memory)"
            raise NotTimed("over-budget", f"a training call would add about {peak / 2**30:.1f} GiB, over {limit}")

    def _phases(self, length: int, facts: dict[str, Any]) -> Phases:
        sweep = self.sweep
        height = next(side for side in range(math.isqrt(length), 0, -1) if length % side == 0)
        grid = height, length // height  # the squarest one with so many cells
        entry, values = architectures.parse(self.architecture)
        generator = torch.Generator().manual_seed(0)
        mixer = entry.create(values, width=sweep.width, length=length, grid=grid, generator=generator).to(sweep.device)
        x = torch.randn(sweep.batch, length, sweep.width, generator=torch.Generator().manual_seed(1)).to(sweep.device)
        cell = torch.arange(length, device=sweep.device)
        coordinates = torch.stack([cell // grid[1], cell % grid[1]], dim=-1)[None]
        forward, training = _calls(mixer, x, coordinates)

        seconds = _least_seconds(training)
        facts["kernel"] = mixer.kernel
        self.training_seconds[length] = seconds
        if seconds > sweep.step_seconds:
            raise NotTimed("over-budget", f"a training call took {seconds:.2g} s, over {sweep.step_seconds:g} s")
        self._check(mixer, x, coordinates, facts)
        if (predicted(self.profile_seconds, length) or 0.0) <= PROFILE_SECONDS:
            found: list[int] = []
            self.profile_seconds[length] = seconds_of(lambda: found.append(peak_bytes(training, sweep.device)))
            facts["peak_bytes"] = found[0]
            if found[0] > 0:
                self.peaks[length] = float(found[0])
        forward()
        if mixer.kernel != facts["kernel"]:
            facts["kernel"] += f"; forward {mixer.kernel.partition('/')[2] or mixer.kernel}"
        return Phases({"forward": forward, "training": training})

    def _check(self, mixer: Mixer, x: Tensor, coordinates: Tensor, facts: dict[str, Any]) -> None:
        """Compare with the reference: whole sequences up to `check_steps`, beyond a prefix where that is exact."""
        length, reach = x.shape[1], reach_of(mixer)
        steps = min(PREFIX_STEPS, self.sweep.check_steps)
        try:
            if length <= self.sweep.check_steps:
                sequences = max(1, min(4, self.sweep.check_steps // length, len(x)))
                facts["check"] = "whole" if sequences == len(x) else f"{sequences} of {len(x)} sequences"
                errors = errors_against_reference(mixer, x, coordinates, sequences)
            elif reach is not None and reach < steps:
                facts["check"] = f"first {steps}; all in float64"
                errors = errors_on_prefix(mixer, x, coordinates, steps, reach)
            else:
                self._not_checked(f"beyond --check-steps {self.sweep.check_steps}, and a prefix decides nothing", facts)
                return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return self._not_checked("the reference ran out of memory", facts)
        facts["relative_error"], facts["gradient_relative_error"] = errors
        if not agrees(*errors, dtype=self.sweep.dtype):
            text = "/".join("not a number" if math.isnan(error) else f"{error:.1e}" for error in errors)
            raise NotTimed("wrong", f"output/gradient differ from the float64 reference by {text}", ends=False)

    def _not_checked(self, reason: str, facts: dict[str, Any]) -> None:
        facts["check"] = f"not checked: {reason}"
        if not self.sweep.unchecked:
            raise NotTimed("unchecked", f"not checked: {reason}; --unchecked shows such speeds")


def failure(error: Exception) -> dict[str, Any]:
    """What a point's facts say of an error that its mixer raised."""
    status = "out-of-memory" if is_out_of_memory(error) else "failed"
    return {"status": status, "reason": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}


def _least_seconds(run: Callable[[], Any]) -> float:
    """The least of a few calls, the first of which warms up: what busy neighbours add must not end a line."""
    calls = [seconds_of(run), seconds_of(run)]
    while (sum(calls) < 0.1 and len(calls) < 10) or (sum(calls) < 1.0 and len(calls) < 4):
        calls.append(seconds_of(run))
    return min(calls)


def _calls(mixer: Mixer, x: Tensor, coordinates: Tensor) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Forward without gradients; forward and backward to the input and every parameter, from a dense gradient."""
    wanted = x.clone().requires_grad_()
    inputs = [wanted, *(parameter for parameter in mixer.parameters() if parameter.requires_grad)]
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(x.device)

    def forward() -> None:
        with torch.no_grad():
            mixer(x, None, coordinates)

    def training() -> None:
        torch.autograd.grad(mixer(wanted, None, coordinates), inputs, gradient, allow_unused=True)

    return forward, training
