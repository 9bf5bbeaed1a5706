"""`make-slides`: synthetic slides on disk, in the formats in which feature bags are published."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("output", metavar="OUT", help="a new folder")
    parser.add_argument("--format", choices=("clam", "trident"), default="clam", help="default: clam")
    parser.add_argument("--slides", type=int, default=200, metavar="N", help="default: 200")
    text = "what is drawn: synthetic-slides:tiles=2000,dim=64"
    parser.add_argument("--task", default="synthetic-slides", metavar="SPEC", help=text)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--quiet", action="store_true", help="nothing on standard error")


def main(options: argparse.Namespace) -> int:
    """Write the slides and labels.csv; print the folder's task."""
    from harness.registry.cells import parse_task
    from harness.registry.specs import quote

    folder = Path(options.output)
    if not 4 <= options.slides <= 1_000_000:
        raise UserError(f"--slides is from 4 to 1000000, got {options.slides}")
    if options.seed < 0:
        raise UserError(f"--seed is 0 or more, got {options.seed}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"make-slides writes into a new folder, got {str(folder)!r}, which holds something")
    task: Any = parse_task(options.task)
    if not hasattr(task, "write_slides"):
        raise UserError(f"make-slides: the task must draw slides, got {options.task!r}; take synthetic-slides")
    made = task.write_slides(folder, options.slides, format=options.format, seed=options.seed)
    print(f"wsi:root={quote(str(folder))}")
    if not options.quiet:
        size = f"{options.slides:,} slides of {made.patients:,} patients, {made.tiles:,} tiles"
        print(f"{size}, {made.bytes / 2**20:,.0f} MiB; the line above is the task", file=sys.stderr)
    return 0
