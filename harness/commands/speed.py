"""`speed`: mixers alone over a sweep of lengths: times, memory, growth, and where one overtakes another."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError, nearest

from ._options import add_plugin_argument

LONGEST = 2**24
WHOLE = {
    "batch": ("1", 1, 65536, "sequences"),
    "width": ("32", 1, 65536, "of every token"),
    "rounds": ("9", 3, 10_000, "samples of each phase at most, 3 or more"),
    "check-steps": ("2048", 2, LONGEST, "whole-sequence checks up to this length"),
}
POSITIVE = {
    "step-seconds": ("0.5", "a longer call of training ends a line"),
    "session-seconds": ("90", "of the whole session"),
}
"""Numbers that may be given: default, range where there is one, and what they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    mixers = ["gated-ssm", "mamba", "local-attention", "global-attention"]
    text = f"default: {' '.join(mixers)}"
    parser.add_argument("--arch", "--architecture", nargs="+", default=mixers, metavar="SPEC", help=text)
    text = "64:65536 (powers of two) or 64,100,400 (default: 64:65536)"
    parser.add_argument("--lengths", default="64:65536", metavar="L", help=text)
    for name, (default, *_, text) in (WHOLE | POSITIVE).items():
        parser.add_argument(f"--{name}", default=default, metavar="N", help=f"{text} (default: {default})")
    text = "a call that adds more ends a line (default: half of what is available)"
    parser.add_argument("--memory", metavar="GIB", help=text)
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", default="float32", help="float32, tf32 (CUDA) or bfloat16 (default: float32)")
    parser.add_argument("--unchecked", action="store_true", help="speeds that no reference could be run for, too")
    parser.add_argument("-o", "--output", metavar="FILE.png", help="a figure of times and memory against length")
    parser.add_argument("--store", metavar="FILE", help="keep the rows in a store as well")
    add_plugin_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument("--format", choices=("table", "markdown", "csv", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Time, draw, print; exit code 1 where an architecture failed."""
    sweep = _sweep(options)
    path = Path(options.output) if options.output is not None else None
    if path and path.suffix != ".png":
        raise UserError(f"speed draws a .png file, got {options.output!r}")
    if path and not path.parent.is_dir():
        raise UserError(f"speed: the folder {str(path.parent)!r} does not exist; make it first")
    from harness.reports import speed as report  # pyright: ignore[reportMissingImports]
    from harness.running.progress import Progress
    from harness.running.worker_process import in_worker
    from harness.store.store import Store

    if options.store:
        Store(options.store).close()  # said before the time is spent
    progress = Progress(quiet=options.quiet)
    try:
        with progress.timing():
            work = {"sweep": sweep, "limited": True}
            session = in_worker("speed", work, plugins=options.plugins, watch=progress.note)
    except RuntimeError as error:
        print(f"error: the timing session failed: {error}", file=sys.stderr)
        return 1
    if options.store:
        with Store(options.store) as store:
            store.write_timings(session["rows"])
    print(report.render(session, form=options.format))
    drawn = path and report.draw(session, path)
    if path and not options.quiet:
        print(f"figure in {path}" if drawn else "nothing could be timed, so there is no figure", file=sys.stderr)
    failed = [row for row in session["rows"] if row["status"] in ("failed", "wrong")]
    for row in failed:
        print(f"{row['status']}: {row['architecture']} at length {row['length']}: {row['reason']}", file=sys.stderr)
    return 1 if failed else 0


def _sweep(options: argparse.Namespace) -> Any:
    from harness.registry import architectures, load_plugin
    from harness.running.execution import resolve_device
    from harness.running.request import DTYPES

    lengths = parse_lengths(options.lengths)
    given = {name.replace("_", "-"): value for name, value in vars(options).items()}
    numbers: dict[str, Any] = {}
    for name, (_, least, most, _) in WHOLE.items():
        if not re.fullmatch(r"\d{1,9}", given[name]) or not least <= int(given[name]) <= most:
            raise UserError(f"--{name} is a whole number from {least} to {most}, got {given[name]!r}")
        numbers[name] = int(given[name])
    numbers |= {name: _positive(f"--{name}", given[name]) for name in POSITIVE}
    numbers = {name.replace("-", "_"): value for name, value in numbers.items()}
    numbers["memory_bytes"] = None if options.memory is None else int(2**30 * _positive("--memory", options.memory))
    for plugin in options.plugins:
        load_plugin(plugin)
    names = tuple(dict.fromkeys(architectures.canonical(text) for text in options.arch))
    device = resolve_device(options.device)
    if options.dtype not in DTYPES:
        close = nearest(options.dtype, DTYPES)
        raise UserError(f"--dtype is one of {', '.join(DTYPES)}, got {options.dtype!r}; {close}")
    if options.dtype == "tf32" and device != "cuda":
        rule = "--dtype tf32 is a format of CUDA's matrix units"
        raise UserError(f"{rule}, got device {device}; take float32 or bfloat16")
    import torch

    from harness.timing.speed import Sweep

    # Parameters that do not go together (heads that do not divide the width) are the user's to hear of at once.
    shape = {"width": numbers["width"], "length": lengths[0], "grid": (1, lengths[0])}
    for name in names:
        entry, values = architectures.parse(name)
        try:
            entry.create(values, **shape, generator=torch.Generator())
        except UserError:
            raise
        except Exception:
            continue  # what cannot run or breaks is its line's to say
    numbers |= {"device": device, "dtype": options.dtype, "unchecked": options.unchecked}
    return Sweep(architectures=names, lengths=lengths, **numbers)


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
        return tuple(lengths)
    lengths = sorted({int(part) for part in text.split(",")}) if re.fullmatch(r"\d{1,9}(,\d{1,9})*", text) else [0]
    if lengths[0] < 2 or lengths[-1] > LONGEST:
        raise UserError(f"{rule}, got {text!r}")
    return tuple(lengths)


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UserError(f"{name} is a positive number, got {text!r}")
    return value
