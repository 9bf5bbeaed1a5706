"""`run`: cells of task x architecture x scan, stored, and one table."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tomllib
from typing import TYPE_CHECKING, Any

from harness.contracts.errors import UserError

from . import _options

if TYPE_CHECKING:
    from harness.running.request import Request
    from harness.running.runner import Outcome

TABLE_HELP = "as a study file has it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options. What is not given is the request's default."""
    add_cell_arguments(parser)
    parser.add_argument("--seeds", help="how many (0..n-1), or which: 0,3,7 (default: 3)")
    text = f"add seeds until every comparison is decided; the rule {TABLE_HELP}"
    parser.add_argument("--decide", nargs="?", const=True, metavar="TABLE", help=text)
    parser.add_argument("--no-timing", dest="timing", action="store_false", help="leave out the timing session")
    parser.add_argument("--format", choices=("table", "markdown", "csv", "json"), default="table")


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what says which cells are run, and how and where, whatever the seeds are."""
    axes = parser.add_argument_group("axes (spec strings, one or several)")
    axes.add_argument("--task", dest="tasks", nargs="+", metavar="SPEC", help="default: locality2d")
    text = "default: gated-ssm mamba global-attention local-attention mean-pool"
    axes.add_argument("--arch", "--architecture", dest="architectures", nargs="+", metavar="SPEC", help=text)
    axes.add_argument("--scan", dest="scans", nargs="+", metavar="SPEC", help="default: horizontal")
    axes.add_argument("--protocol", dest="protocols", nargs="+", metavar="SPEC", help="default: standard")
    axes.add_argument("--include", action="append", metavar="TABLE", help=f"a further cell, {TABLE_HELP}")
    axes.add_argument("--exclude", action="append", metavar="TABLE", help=f"cells to leave out, {TABLE_HELP}")
    axes.add_argument("--primary", nargs=2, metavar="SCAN", help="the declared pair (default: horizontal hilbert)")
    text = f"choose each cell's learning rate on validation first; rates and seeds {TABLE_HELP}"
    parser.add_argument("--tune", nargs="?", const=True, metavar="TABLE", help=text)
    parser.add_argument("--device", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--dtype", help="float32, tf32 (CUDA) or bfloat16 (default: float32)")
    parser.add_argument("--replicas", type=int, metavar="N", help="seeds trained together (CUDA; default: 1)")
    text = "replay the training step as a CUDA graph"
    parser.add_argument("--cuda-graphs", action="store_true", default=None, help=text)
    parser.add_argument("--skip-bad", action="store_true", help="wsi: leave bad bags out and record them")
    parser.add_argument("--name", help="of the study, and of its store (default: results)")
    parser.add_argument("--title", help="of the study")
    _options.add_plugin_argument(parser)
    _options.add_run_arguments(parser, store="results.sqlite")
    _options.add_logger_arguments(parser)
    _options.add_execution_arguments(parser, default="default: a worker process on every processor, one on a GPU")


def main(options: argparse.Namespace) -> int:
    """Run, store, print."""
    request = request_of(options)
    if options.print:
        return print_request(request, options.print)
    note = (
        None if request.rule else seeds_needed(len(request.scans), len(request.architectures), len(request.seed_list))
    )
    if note and not options.quiet:
        print(note, file=sys.stderr)
    return run_and_print(request, form=options.format, quiet=options.quiet)


def request_of(options: argparse.Namespace) -> Request:
    """The request that the options make; a UserError where one of them is wrong."""
    from harness.running.request import Request, request_from

    asked = vars(options).items()
    values = {name: value for name, value in asked if name in Request.model_fields and value is not None}
    for name in ("include", "exclude"):
        values[name] = [_table(f"--{name}", text) for text in values.get(name, ())]
    for name in ("tune", "decide"):
        if isinstance(values.get(name), str):
            values[name] = _table(f"--{name}", values[name])
    if getattr(options, "seeds", None) is not None:
        values["seeds"] = _seeds(options.seeds)
    request = request_from(values | {"executor": _options.execution_of(options)})
    return request.changed(tasks=skipping_bad(request)) if options.skip_bad else request


def run_and_print(request: Request, *, form: str, quiet: bool) -> int:
    """Run what is missing, print the table, say what the store gave and what failed; returns the exit code."""
    from harness.analysis.summary import mixtures
    from harness.running.answer import run_request
    from harness.running.ending import report_failures

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    outcome: Outcome = run_request(request, quiet=quiet, form=form, width=width)
    print(outcome.table)
    for decided in outcome.decided:
        print(decided.line, file=sys.stderr if form in ("csv", "json") else sys.stdout)
    if not quiet:
        print(f"{outcome.from_store} of {len(outcome.records)} runs came from {request.store_path}", file=sys.stderr)
    for warning in mixtures(outcome.records):
        print(f"warning: {warning}", file=sys.stderr)
    return report_failures(outcome, request.store_path)


def print_request(request: Request, form: str) -> int:
    """Print a request as a command, a call in Python or a study file."""
    from harness.running import request_text

    print(getattr(request_text, f"as_{form}")(request).rstrip("\n"))
    return 0


def skipping_bad(request: Request) -> list[str]:
    """The request's tasks, told to leave bad files out where they know how."""
    from harness.registry import load_plugin, tasks
    from harness.registry.specs import Spec, format_spec, parse_spec

    for plugin in request.plugins:
        load_plugin(plugin)
    found = []
    for text in request.tasks:
        spec = parse_spec(text, axis="task")
        if "skip_bad" in tasks.get(spec.name).parameters:
            text = format_spec(Spec(name=spec.name, parameters={**spec.parameters, "skip_bad": "true"}))
        found.append(text)
    return found


def _seeds(text: str) -> int | list[int]:
    """`10` is a number of seeds; `0,3,7` are these, and `5,` is the one."""
    if re.fullmatch(r"[0-9]{1,7}", text) and 1 <= int(text) <= 100_000:
        return int(text)
    if not re.fullmatch(r" *[0-9]{1,7} *(,( *[0-9]{1,7} *,)*( *[0-9]{1,7} *)?)", text):
        raise UserError(f"--seeds is a count from 1 to 100000 (10 means 0..9) or a list such as 0,3,7, got {text!r}")
    return [int(part) for part in text.split(",") if part.strip()]


def _table(option: str, text: str) -> Any:
    try:
        found = tomllib.loads(f"table = {text}")
    except tomllib.TOMLDecodeError:
        found = {}
    if list(found) != ["table"] or not isinstance(found["table"], dict):
        examples = "{ seeds = 1 } or { scan = 'peano' }"
        raise UserError(f"{option} takes a table {TABLE_HELP}, such as {examples}, got {text!r}")
    return found["table"]


def seeds_needed(scans: int, architectures: int, seeds: int) -> str | None:
    """Say before anything runs when no comparison of scans could come out significant, however large the effect."""
    pairs = architectures * scans * (scans - 1) // 2
    needed = next(n for n in range(2, 64) if pairs * 2.0 ** (1 - n) <= 0.05)
    if pairs == 0 or seeds >= needed:
        return None
    return f"note: {seeds} seeds cannot decide {pairs} comparisons of scans, whatever they show; --seeds {needed} could"
