"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contracts.errors import UserError

if TYPE_CHECKING:
    from harness.running.execution import Execution


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --plugin."""
    text = "a module or a .py file"
    parser.add_argument("--plugin", dest="plugins", action="append", default=[], metavar="MODULE", help=text)


def add_run_arguments(parser: argparse.ArgumentParser, *, store: str) -> None:
    """Declare the options of whatever runs cells; `store` is the default of --store."""
    parser.add_argument("--store", metavar="FILE", help=f"default: {store}")
    parser.add_argument("--overwrite", action="store_true", help="run again what the store has, and replace it")
    parser.add_argument("--fresh", dest="overwrite", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def add_logger_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --logger and --print."""
    text = "show runs elsewhere too as they go: tensorboard:FOLDER or mlflow:URI; may be given again"
    parser.add_argument("--logger", dest="loggers", action="append", metavar="KIND:TARGET", help=text)
    parser.add_argument("--sink", dest="loggers", action="append", help=argparse.SUPPRESS)
    text = "print the request as a command, a call in Python or a study file; run nothing"
    parser.add_argument("--print", choices=("command", "python", "toml"), help=text)  # as in `request_text.as_NAME`


def add_execution_arguments(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Declare where runs go and what one may take; `default` says what holds where none is given."""
    group = parser.add_argument_group(f"where runs are done ({default})")
    group.add_argument("--executor", choices=("pool", "in-process", "ray"), help="worker processes here, none, or Ray")
    group.add_argument("--workers", type=int, metavar="N", help="worker processes, on Ray runs at once; 0: none")
    group.add_argument("--time-limit", type=float, metavar="SECONDS", help="a run that takes longer is stopped")
    group.add_argument("--memory-limit", type=float, metavar="GIB", help="a run whose process takes more is stopped")
    group.add_argument("--address", help="of the Ray cluster: local starts one here (default), auto, or host:port")
    group.add_argument("--cpus", type=float, metavar="N", help="processors that Ray reserves for a run (default: 1)")
    group.add_argument("--gpus", type=float, metavar="N", help="GPUs, or a part of one, for a run on Ray (default: 0)")


def execution_of(options: argparse.Namespace, base: Execution | None = None) -> Execution:
    """`base` with what the options ask of an executor in its place.

    Raises:
        UserError: a value that cannot be.
    """
    from harness.running.execution import execution_from

    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers is 0 or more, got {options.workers}")
    names = ("workers", "time_limit", "memory_limit", "address", "cpus", "gpus", "replicas", "cuda_graphs")
    return execution_from({"kind": options.executor} | {name: getattr(options, name, None) for name in names}, base)


def write_page(path: Path, write: Callable[[Path], list[Path]]) -> int:
    """Write a page and its figures, and say on standard error which they are; returns the exit code."""
    from harness.reports.html_page import write_as  # pyright: ignore[reportMissingImports]

    figures = write_as(path, write)
    beside = f" with {len(figures)} figures: {', '.join(figure.name for figure in figures)}" if figures else ""
    print(f"{path}{beside}", file=sys.stderr)
    return 0
