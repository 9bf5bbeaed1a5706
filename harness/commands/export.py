"""`export`: a store's runs as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.errors import UserError

FORMATS = (".csv", ".jsonl", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="x.csv, x.jsonl or x.parquet")
    parser.add_argument("--tuning", action="store_true", help="tuning runs too")


def main(options: argparse.Namespace) -> int:
    """Write the file."""
    path = Path(options.output)
    if path.suffix not in FORMATS:
        raise UserError(f"export writes {', '.join(FORMATS)} by the file's ending, got {options.output!r}")
    if path.is_dir():
        raise UserError(f"export: {options.output!r} is a folder; give a file")
    if not path.parent.is_dir():
        raise UserError(f"export: the folder {str(path.parent)!r} does not exist; make it first")
    from harness.frame import load

    frame = load(options.store, tuning=options.tuning)
    frame["curve"] = [json.dumps(curve) if isinstance(curve, dict) else None for curve in frame["curve"]]
    frame["versions"] = [json.dumps(versions) for versions in frame["versions"]]
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path, index=False)
    print(f"{len(frame)} runs written to {path}", file=sys.stderr)
    return 0
