"""Options of the command line that say where runs go and what one of them may take."""

from __future__ import annotations

import argparse

from .errors import UserError


def add_execution_arguments(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Declare the options; `default` says what holds where none is given."""
    group = parser.add_argument_group(f"where runs are done ({default})")
    group.add_argument("--executor", choices=("pool", "in-process", "ray"), help="worker processes here, none, or Ray")
    group.add_argument("--workers", type=int, metavar="N", help="worker processes, on Ray runs at once; 0: none")
    group.add_argument("--time-limit", type=float, metavar="SECONDS", help="a run that takes longer is stopped")
    group.add_argument("--memory-limit", type=float, metavar="GIB", help="a run whose process takes more is stopped")
    group.add_argument("--address", help="of the Ray cluster: local starts one here (default), auto, or host:port")
    group.add_argument("--cpus", type=float, metavar="N", help="processors that Ray reserves for a run (default: 1)")
    group.add_argument("--gpus", type=float, metavar="N", help="GPUs, or a part of one, for a run on Ray (default: 0)")


def execution_asked(options: argparse.Namespace) -> dict[str, object]:
    """What the options ask for; None is not asked for.

    Raises:
        UserError: a number of workers that is none.
    """
    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers is 0 or more, got {options.workers}")
    names = ("workers", "time_limit", "memory_limit", "address", "cpus", "gpus")
    return {"kind": options.executor} | {name: getattr(options, name) for name in names}
