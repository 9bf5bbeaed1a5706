"""Speeds of mixers by length and of whole steps, given only where output and gradient agreed with the reference."""

from __future__ import annotations

from functools import partial
from typing import Any

from harness.contracts.errors import Unsupported
from harness.timing.checking import reach_of
from harness.timing.measure import PHASES, timing_session
from harness.timing.speed import PERMUTATION, Sweep, speed_session

from .bench import Bench
from .cells import TRAINED, TRAINING, cell
from .mixers import Shape, build, families
from .pieces import Piece, Row, Rows, add, piece

GROUPS = 4
"""Of architectures, each a piece of every format: what is compared with what in one session is in one group."""

DTYPES = ("float32", "bfloat16")
WHOLE_STEPS, PREFIX_STEPS = 16384, 2048
"""Up to here the reference runs on whole sequences: further where a prefix decides nothing, as in global attention."""

LENGTHS = tuple(2**power for power in range(6, 17))
SESSION_SECONDS = 360.0
JUDGED = {"timed": True, "wrong": False, "failed": False}
"""Status of a point -> whether it passed; nothing is said of the others (over budget, unchecked, unsupported)."""


def sweep(names: tuple[str, ...], dtype: str, bench: Bench) -> Rows:
    """One group over the lengths; what sees all steps apart, because no prefix can decide it."""
    chosen = bench.pick(names, names[:2])
    whole = tuple(name for name in chosen if _sees_all_steps(name, bench))
    parts = [part for part in (whole, tuple(name for name in chosen if name not in whole)) if part]
    seconds = bench.pick(SESSION_SECONDS, 4.0) / len(parts)
    for part in parts:
        yield from _session(part, dtype, bench, seconds, check_steps=WHOLE_STEPS if part is whole else PREFIX_STEPS)


def _sees_all_steps(name: str, bench: Bench) -> bool:
    try:
        return reach_of(build(name, Shape(batch=1, length=16, width=128), bench)) is None
    except Unsupported:
        return False  # its row says so


def _session(names: tuple[str, ...], dtype: str, bench: Bench, seconds: float, *, check_steps: int) -> Rows:
    asked = Sweep(
        architectures=names,
        lengths=bench.pick(LENGTHS, (16, 32)),
        batch=bench.pick(8, 1),
        width=bench.pick(128, 16),
        rounds=bench.pick(9, 3),
        device=bench.device,
        dtype=dtype,
        session_seconds=seconds,
        check_steps=check_steps,
    )
    rows = speed_session(asked)["rows"]
    if check_steps == WHOLE_STEPS:  # the reordering alone is timed once
        rows = [row for row in rows if row["architecture"] != PERMUTATION]
    for row in rows:
        yield Row(
            case=f"{row['architecture']} {dtype} length {row['length']:,}",
            passed=JUDGED.get(row["status"]),
            found=_of_point(row),
            facts={name: value for name, value in row.items() if name not in ("machine", "commit", "dirty", "source")},
        )


def _of_point(row: dict[str, Any]) -> str:
    if row["status"] != "timed":
        return f"{row['status']}: {row['reason']}"
    if "training_seconds" not in row:
        return f"{1e3 * row['permutation_seconds']:.3g} ms; {row['kernel']}"
    noisy = ", noisy" if row["speed_note"] else ""
    forward, training = 1e3 * row["forward_seconds"], 1e3 * row["training_seconds"]
    peak = "" if row["peak_bytes"] is None else f", {row['peak_bytes'] / 2**20:,.0f} MiB"
    return f"forward {forward:.3g} ms, training {training:.3g} ms{peak}{noisy}; {row['kernel']}"


def groups() -> list[tuple[str, ...]]:
    """The architectures that come with the harness, in GROUPS parts."""
    names = [name for _, entries in families() for name in entries]
    return [tuple(names[number::GROUPS]) for number in range(GROUPS)]


for _dtype in DTYPES:
    for _number, _names in enumerate(groups(), start=1):
        _modules = tuple(module for module, entries in families() if set(entries) & set(_names))
        add(
            Piece(
                name=f"speed-{_dtype}-{_number}",
                title=f"speed to 65,536 steps in {_dtype}: {', '.join(_names)}",
                minutes=7,
                run=partial(sweep, _names, _dtype),
                modules=(__name__, "harness.timing.speed", *_modules),
            )
        )


@piece("steps", title="whole training steps", minutes=4, modules=(*TRAINING, "harness.timing.measure"))
def steps(bench: Bench) -> Rows:
    """A training step of the standard protocol for each kind of kernel, interleaved, phases apart."""
    for dtype in bench.dtypes:
        names = bench.pick(TRAINED, ("gated-ssm",))
        asked = [cell(name, bench) for name in names]
        for row in timing_session(asked, device=bench.device, dtype=dtype, rounds=bench.pick(9, 3)):
            shown = [f"{phase} {1e3 * row[f'{phase}_seconds']:.3g} ms" for phase in PHASES if f"{phase}_seconds" in row]
            name = row["architecture"].partition(":")[0]
            found = f"{', '.join(shown)}; {row['kernel']}"
            # A path that disagreed with its reference gets no times.
            yield Row(case=f"{name} {dtype}", passed=bool(shown), found=found if shown else str(row["speed_note"]))
