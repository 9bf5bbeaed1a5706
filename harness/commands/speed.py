"""`speed`: mixers alone over a sweep of lengths: times, memory, growth, and where one overtakes another."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError, nearest

LONGEST = 2**24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--arch",
        "--architecture",
        nargs="+",
        default=["gated-ssm", "mamba", "local-attention", "global-attention"],
        metavar="SPEC",
        help="default: gated-ssm mamba local-attention global-attention",
    )
    parser.add_argument(
        "--lengths", default="64:65536", metavar="L", help="64:65536 (powers of two) or 64,100,400 (default: 64:65536)"
    )
    parser.add_argument("--batch", default="1", metavar="N", help="sequences (default: 1)")
    parser.add_argument("--width", default="32", metavar="N", help="default: 32")
    parser.add_argument(
        "--rounds", default="9", metavar="N", help="samples of each phase at most, 3 or more (default: 9)"
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", default="float32", help="float32, tf32 (CUDA) or bfloat16 (default: float32)")
    parser.add_argument(
        "--step-seconds", default="0.5", metavar="S", help="a longer call of training ends a line (default: 0.5)"
    )
    parser.add_argument("--session-seconds", default="90", metavar="S", help="of the whole session (default: 90)")
    parser.add_argument(
        "--memory", metavar="GIB", help="a call that adds more ends a line (default: half of what is available)"
    )
    parser.add_argument(
        "--check-steps", default="2048", metavar="L", help="whole-sequence checks up to this length (default: 2048)"
    )
    parser.add_argument("--unchecked", action="store_true", help="speeds that no reference could be run for, too")
    parser.add_argument("-o", "--output", default="speed.png", metavar="FILE.png", help="figure (default: speed.png)")
    parser.add_argument("--store", metavar="FILE", help="keep the rows in a store as well")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument("--format", choices=("table", "markdown", "csv", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Time, draw, print; exit code 1 where an architecture failed."""
    sweep = _sweep(options)
    path = Path(options.output)
    if path.suffix != ".png":
        raise UserError(f"speed draws a .png file, got {options.output!r}")
    if not path.parent.is_dir():
        raise UserError(f"speed: the folder {str(path.parent)!r} does not exist; make it first")
    from harness.progress import Progress
    from harness.reports import speed as report  # pyright: ignore[reportMissingImports]
    from harness.store import Store
    from harness.worker_process import in_worker

    if options.store:
        Store(options.store).close()  # said before the time is spent
    progress = Progress(quiet=options.quiet)
    try:
        with progress.timing():
            work = {"sweep": sweep, "limited": True}
            session = in_worker("speed", work, plugins=options.plugin, watch=progress.note)
    except RuntimeError as error:
        print(f"error: the timing session failed: {error}", file=sys.stderr)
        return 1
    if options.store:
        with Store(options.store) as store:
            store.write_timings(session["rows"])
    drawn = report.draw(session, path)
    print(report.render(session, form=options.format))
    if not options.quiet:
        print(f"figure in {path}" if drawn else "nothing could be timed, so there is no figure", file=sys.stderr)
    failed = [row for row in session["rows"] if row["status"] in ("failed", "wrong")]
    for row in failed:
        print(f"{row['status']}: {row['architecture']} at length {row['length']}: {row['reason']}", file=sys.stderr)
    return 1 if failed else 0


def _sweep(options: argparse.Namespace) -> Any:
    from harness.api import DTYPES, resolve_device
    from harness.registry import architectures, load_plugin

    lengths = parse_lengths(options.lengths)
    numbers = {
        "batch": _whole("--batch", options.batch, 1, 65536),
        "width": _whole("--width", options.width, 1, 65536),
        "rounds": _whole("--rounds", options.rounds, 3, 10_000),
        "check_steps": _whole("--check-steps", options.check_steps, 2, LONGEST),
        "step_seconds": _positive("--step-seconds", options.step_seconds),
        "session_seconds": _positive("--session-seconds", options.session_seconds),
        "memory_bytes": None if options.memory is None else int(2**30 * _positive("--memory", options.memory)),
    }
    for plugin in options.plugin:
        load_plugin(plugin)
    names = tuple(dict.fromkeys(architectures.canonical(text) for text in options.arch))
    device = resolve_device(options.device)
    if options.dtype not in DTYPES:
        raise UserError(
            f"--dtype is one of {', '.join(DTYPES)}, got {options.dtype!r}; {nearest(options.dtype, DTYPES)}"
        )
    if options.dtype == "tf32" and device != "cuda":
        raise UserError(
            f"--dtype tf32 is a format of CUDA's matrix units, got device {device}; take float32 or bfloat16"
        )
    from harness.speed import Sweep

    _build_once(names, lengths[0], numbers["width"])
    return Sweep(
        architectures=names, lengths=lengths, device=device, dtype=options.dtype, unchecked=options.unchecked, **numbers
    )


def _build_once(names: Sequence[str], length: int, width: int) -> None:
    """Parameters that do not go together (heads that do not divide the width) are the user's to hear of at once."""
    import torch

    from harness.registry import architectures

    for name in names:
        entry, values = architectures.parse(name)
        try:
            entry.create(values, width=width, length=length, grid=(1, length), generator=torch.Generator())
        except UserError:
            raise
        except Exception:
            continue  # what cannot run or breaks is its line's to say


def parse_lengths(text: str) -> tuple[int, ...]:
    """`64:65536` as the powers of two between, ends included; `64,100,400` as these, in rising order.

    Raises:
        UserError: neither of the two, or a length below 2 or beyond 2^24.
    """
    rule = f"--lengths is FROM:TO (powers of two between) or a list such as 64,100,400, each 2 to {LONGEST}"
    if re.fullmatch(r"\d{1,9}:\d{1,9}", text):
        first, last = map(int, text.split(":"))
        lengths = [2**power for power in range(1, 25) if first <= 2**power <= last]
        if not lengths or first < 2 or last > LONGEST:
            raise UserError(f"{rule}, with a power of two in it, got {text!r}")
    elif re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        lengths = sorted({int(part) for part in text.split(",")})
        if lengths[0] < 2 or lengths[-1] > LONGEST:
            raise UserError(f"{rule}, got {text!r}")
    else:
        raise UserError(f"{rule}, got {text!r}")
    return tuple(lengths)


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
        raise UserError(f"{name} is a whole number from {least} to {most}, got {text!r}")
    return int(text)


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UserError(f"{name} is a positive number, got {text!r}")
    return value
