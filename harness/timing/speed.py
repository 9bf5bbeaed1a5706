"""Mixers alone over a sweep of lengths: time and memory, phases apart, everything interleaved.

The session goes up the lengths first and sets up a point for every architecture and length that fits its budgets
(`harness.timing.scaling_curve`), then takes samples of all points in turn, round after round, so that what slows the
machine for a while bends no line. What an architecture cannot do ends its own line, with a reason.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from harness.analysis.tolerances import NOISY_SPREAD
from harness.model.routed import Permute
from harness.store.provenance import provenance
from harness.training.precision import precision

from .memory import available_bytes, limit_memory, peak_bytes
from .sampling import Phases, spread
from .scaling_curve import CurvePoint, ScalingCurve, Sweep, failure

PERMUTATION = "permutation"
LEAST_ROUNDS = 3


def speed_session(
    sweep: Sweep, *, limited: bool = False, watch: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run a sweep and return its settings, its provenance and `rows`: one an architecture and length, raw samples kept.

    A row has a `status`: timed; wrong (it differs from the reference: no speed); unchecked, out-of-memory, unsupported,
    failed or over-budget (the line ends there), with `reason`. Rows of `permutation` are the reordering alone.

    Args:
        limited: bound this process's address space by the memory budget, so that an allocation that does not fit raises
            instead of getting the process killed. For a worker of its own.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    if sweep.device == "cpu":
        torch.set_num_threads(1)
    memory_bytes = sweep.memory_bytes or available_bytes(sweep.device) // 2
    if limited and sweep.device == "cpu":
        limit_memory(2 * memory_bytes)  # the reference check may need more than the call that is measured

    peak_bytes(lambda: torch.ones(1), sweep.device)  # the profiler's first start takes seconds

    def elapsed() -> float:
        return time.perf_counter() - clock

    lines = [ScalingCurve(architecture=name, sweep=sweep, memory_bytes=memory_bytes) for name in sweep.architectures]
    points: list[CurvePoint] = []
    with precision(sweep.dtype, sweep.device):
        for length in sweep.lengths:
            points.append(_permutation(sweep, length))
            for line in lines:
                if not line.ended:
                    watch(f"setting up and checking {line.architecture} at length {length:,}")
                    points.append(line.point(length, out_of_time=elapsed() > sweep.session_seconds / 2))
        rounds = _sample(points, sweep, elapsed, watch)
    threads = 1 if sweep.device == "cpu" else torch.get_num_threads()
    common = {"session": secrets.token_hex(8), "started_at": started, "device": sweep.device, "dtype": sweep.dtype}
    common |= {"threads": threads}
    common |= {name: provenance(sweep.device)[name] for name in ("machine", "torch_version", "commit", "dirty")}
    rows = [_row(point, sweep) | common for point in points]
    settings = asdict(sweep) | {"memory_bytes": memory_bytes, "rounds": rounds, "seconds": elapsed()}
    return {**common, "settings": settings, "rows": rows}


def _sample(points: list[CurvePoint], sweep: Sweep, elapsed: Callable[[], float], watch: Callable[[str], None]) -> int:
    """Round after round, all points in turn; returns how many rounds were taken."""
    longest = 0.0
    for number in range(sweep.rounds + 1):  # the first warms up
        began = elapsed()
        if number > LEAST_ROUNDS and began + longest > sweep.session_seconds:
            return number - 1
        watch(f"timing, round {number} of {sweep.rounds}")
        for point in points:
            if point.phases is None:
                continue
            try:
                point.phases.sample()
            except Exception as error:
                point.phases = None
                facts = failure(error)
                point.facts |= facts | {"reason": f"while it was timed: {facts['reason']}"}
        if number:
            longest = max(longest, elapsed() - began)
    return sweep.rounds


def _permutation(sweep: Sweep, length: int) -> CurvePoint:
    """Bringing tokens into the order of a route and back. A random route: the hardest on caches."""
    generator = torch.Generator().manual_seed(length)
    route = torch.randperm(length, generator=generator).to(sweep.device)
    rank = torch.argsort(route)
    x = torch.randn(sweep.batch, length, sweep.width, generator=generator).to(sweep.device)

    def run() -> torch.Tensor:
        return Permute.apply(Permute.apply(x, route, rank), rank, route)  # type: ignore[return-value]

    assert torch.equal(run(), x)
    kernel = f"torch {torch.__version__.partition('+')[0]}/index_select"
    facts = {"status": "timed", "reason": None, "kernel": kernel, "check": "whole, exact"}
    facts |= {"relative_error": 0.0, "gradient_relative_error": 0.0, "peak_bytes": None}
    return CurvePoint(architecture=PERMUTATION, length=length, facts=facts, phases=Phases({PERMUTATION: run}))


def _row(point: CurvePoint, sweep: Sweep) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cell": f"mixer {point.architecture}",
        "setting": f"{sweep.device} {sweep.dtype} batch={sweep.batch} length={point.length} width={sweep.width}",
        "source": str(provenance(sweep.device)["commit"]),
        "architecture": point.architecture,
        "length": point.length,
        "batch": sweep.batch,
        "width": sweep.width,
        **point.facts,
        "speed_note": None,
    }
    if point.phases is None:
        return row
    seconds = point.phases.seconds
    row |= {f"{phase}_samples": samples for phase, samples in seconds.items()}
    row |= {f"{phase}_seconds": median for phase, median in point.phases.medians.items()}
    if "training" in seconds:
        row["train_tokens_per_second"] = sweep.batch * point.length / row["training_seconds"]
        row["forward_tokens_per_second"] = sweep.batch * point.length / row["forward_seconds"]
    row["spread"] = max(spread(samples) for samples in seconds.values())
    if row["spread"] > NOISY_SPREAD:
        row["speed_note"] = "noisy"
    return row
