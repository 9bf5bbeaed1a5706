"""`report`: a Markdown report with tables and PNG figures, from a store alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("-o", "--output", default="report.md", metavar="FILE.md", help="default: report.md")


def main(options: argparse.Namespace) -> int:
    """Write the report and its figures beside it."""
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    path = Path(options.output)
    if path.suffix != ".md":
        raise UserError(f"report writes Markdown, give a .md file, got {options.output!r}")
    if not path.parent.is_dir():
        raise UserError(f"report: the folder {str(path.parent)!r} does not exist; make it first")
    with Store(options.store, create=False) as store:
        records, timings = store.records(), store.timings()
    if not records:
        raise UserError(f"report: {options.store} holds no runs; make some with: python -m harness run")
    files = write_report(records, timings, path, store=options.store)
    print(f"{path} with {len(files)} figures: {', '.join(file.name for file in files)}", file=sys.stderr)
    return 0
