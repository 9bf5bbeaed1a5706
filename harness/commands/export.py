"""`export`: a store's runs as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.contracts.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="x.csv, x.jsonl or x.parquet")
    parser.add_argument("--tuning", action="store_true", help="tuning runs too")


def main(options: argparse.Namespace) -> int:
    """Write the file, and timing rows beside it where they can be imported again."""
    from harness.store.exchange import FORMATS, timings_path, write_runs
    from harness.store.store import Store

    path = Path(options.output)
    if path.suffix not in FORMATS:
        raise UserError(f"export writes {', '.join(FORMATS)} by the file's ending, got {options.output!r}")
    if path.is_dir():
        raise UserError(f"export: {options.output!r} is a folder; give a file")
    if not path.parent.is_dir():
        raise UserError(f"export: the folder {str(path.parent)!r} does not exist; make it first")
    with Store(options.store, read_only=True) as store:
        runs, timings = write_runs(store, path, tuning=options.tuning)
    beside = f", {timings} timing rows to {timings_path(path)}" if timings else ""
    print(f"{runs} runs written to {path}{beside}", file=sys.stderr)
    return 0
