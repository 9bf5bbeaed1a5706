"""`report`: a Markdown report from a store alone (tables and PNG figures), or from a pytest-benchmark file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import UserError
from harness.registry import load_plugin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE", help="a store, or what pytest --benchmark-json=BENCH.json wrote")
    parser.add_argument("-o", "--output", default="report.md", metavar="FILE.md", help="default: report.md")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")


def main(options: argparse.Namespace) -> int:
    """Write the report and its figures beside it."""
    path = Path(options.output)
    for plugin in options.plugin:
        load_plugin(plugin)
    if path.suffix != ".md" or path.is_dir():
        raise UserError(f"report writes Markdown, give a .md file, got {options.output!r}")
    if not path.parent.is_dir():
        raise UserError(f"report: the folder {str(path.parent)!r} does not exist; make it first")
    if options.store.endswith(".json"):
        from harness.reports.benchmarks import write_benchmarks  # pyright: ignore[reportMissingImports]

        print(f"{path} with {write_benchmarks(Path(options.store), path)} benchmarks", file=sys.stderr)
        return 0
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    with Store(options.store, read_only=True) as store:
        records, timings = store.records(), store.timings()
    if not records:
        raise UserError(f"report: {options.store} holds no runs; make some with: python -m harness run")
    files = write_report(records, timings, path, store=options.store)
    print(f"{path} with {len(files)} figures: {', '.join(file.name for file in files)}", file=sys.stderr)
    return 0
