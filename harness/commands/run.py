"""`run`: cells of task x architecture x scan, stored, and one table."""

from __future__ import annotations

import argparse
import shutil
import sys

from harness.errors import UserError
from harness.execution_options import add_execution_arguments, execution_asked

SINK_HELP = "show runs elsewhere too as they go: tensorboard:FOLDER or mlflow:URI; may be given again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    axes = parser.add_argument_group("axes (spec strings, one or several)")
    axes.add_argument("--task", nargs="+", default=["locality2d"], metavar="SPEC", help="default: locality2d")
    axes.add_argument(
        "--arch",
        "--architecture",
        nargs="+",
        metavar="SPEC",
        help="default: gated-ssm mamba global-attention local-attention mean-pool",
    )
    axes.add_argument("--scan", nargs="+", default=["horizontal"], metavar="SPEC", help="default: horizontal")
    axes.add_argument("--protocol", nargs="+", default=["standard"], metavar="SPEC", help="default: standard")
    parser.add_argument("--seeds", default="3", help="how many (0..n-1), or which: 0,3,7 (default: 3)")
    parser.add_argument("--tune", action="store_true", help="choose each cell's learning rate on validation first")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--dtype", default="float32", help="float32, tf32 (CUDA) or bfloat16 (default: float32)")
    parser.add_argument("--store", default="results.sqlite", metavar="FILE", help="default: results.sqlite")
    parser.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
    parser.add_argument("--no-timing", action="store_true", help="leave out the timing session")
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="seeds trained together (CUDA; default: 1)"
    )
    parser.add_argument("--cuda-graphs", action="store_true", help="replay the training step as a CUDA graph")
    parser.add_argument("--sink", action="append", default=[], metavar="KIND:TARGET", help=SINK_HELP)
    parser.add_argument("--skip-bad", action="store_true", help="wsi: leave bad bags out and record them")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument("--format", choices=("table", "markdown", "csv", "json"), default="table")
    add_execution_arguments(parser, default="default: a worker process on every processor, one on a GPU")


def main(options: argparse.Namespace) -> int:
    """Run, store, print."""
    from harness.api import DEFAULT_ARCHITECTURES, run_outcome
    from harness.ending import tell_ending
    from harness.summary import findings_of, mixtures, rows_of
    from harness.tables import render

    executor = execution_asked(options)
    seeds = parse_seeds(options.seeds)
    too_few = seeds_needed(len(options.scan), len(options.arch or DEFAULT_ARCHITECTURES), len(seeds))
    if too_few:
        _say(too_few, options.quiet)
    outcome = run_outcome(
        tasks=[skipping_bad(text) for text in options.task] if options.skip_bad else options.task,
        architectures=options.arch,
        scans=options.scan,
        protocols=options.protocol,
        seeds=seeds,
        device=options.device,
        dtype=options.dtype,
        store=options.store,
        tune=options.tune,
        fresh=options.fresh,
        timing=not options.no_timing,
        workers=None,
        plugins=options.plugin,
        quiet=options.quiet,
        replicas=options.replicas,
        cuda_graphs=options.cuda_graphs,
        sinks=options.sink,
        executor=executor,
    )
    rows = rows_of(outcome.records, outcome.timings)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(render(rows, findings_of(rows), form=options.format, width=width))
    _say(f"{outcome.from_store} of {len(outcome.records)} runs came from {options.store}", options.quiet)
    for warning in mixtures(outcome.records):
        _say(f"warning: {warning}", quiet=False)
    return tell_ending([outcome], options.store)


def skipping_bad(task: str) -> str:
    """A task's text, told to leave bad files out where it knows how."""
    from harness.registry import tasks
    from harness.specs import Spec, format_spec, parse_spec

    spec = parse_spec(task, axis="task")
    if "skip_bad" not in tasks.get(spec.name).parameters:
        return task
    return format_spec(Spec(name=spec.name, parameters={**spec.parameters, "skip_bad": "true"}))


def parse_seeds(text: str) -> list[int]:
    """`10` means 0..9; `0,3,7` means these.

    Raises:
        UserError: neither a count nor a list of whole numbers.
    """
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts) or (
        len(parts) == 1 and not 1 <= int(text) <= 100_000
    ):
        raise UserError(f"--seeds is a count from 1 to 100000 (10 means 0..9) or a list such as 0,3,7, got {text!r}")
    return list(range(int(text))) if len(parts) == 1 else [int(part) for part in parts]


def seeds_needed(scans: int, architectures: int, seeds: int) -> str | None:
    """Say before anything runs when no comparison of scans could come out significant, however large the effect."""
    pairs = architectures * scans * (scans - 1) // 2
    needed = next(n for n in range(2, 64) if pairs * 2.0 ** (1 - n) <= 0.05)
    if pairs == 0 or seeds >= needed:
        return None
    return f"note: {seeds} seeds cannot decide {pairs} comparisons of scans, whatever they show; --seeds {needed} could"


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr)
