"""`report`: a page from a store alone, as Markdown with PNG figures or as one HTML file, or from a benchmark file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import UserError
from harness.registry import load_plugin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE", help="a store, or what pytest --benchmark-json=BENCH.json wrote")
    parser.add_argument(
        "-o", "--output", default="report.md", metavar="FILE", help="a .md or an .html file (default: report.md)"
    )
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")


def main(options: argparse.Namespace) -> int:
    """Write the report and its figures beside it."""
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]

    for plugin in options.plugin:
        load_plugin(plugin)
    path = page_path(options.output, subject="report")
    if options.store.endswith(".json"):
        from harness.reports.benchmarks import write_benchmarks  # pyright: ignore[reportMissingImports]

        count = 0

        def write(page: Path) -> list[Path]:
            nonlocal count
            count = write_benchmarks(Path(options.store), page)
            return []

        write_as(path, write)
        print(f"{path} with {count} benchmarks", file=sys.stderr)
        return 0
    from harness.cells import FINAL
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    with Store(options.store, read_only=True) as store:
        everything, timings = store.records(tuning=True), store.timings()
    records = [record for record in everything if record["purpose"] == FINAL]
    tuning = [record for record in everything if record["purpose"] != FINAL]
    if not records:
        raise UserError(f"report: {options.store} holds no runs; make some with: python -m harness run")
    files = write_as(path, lambda page: write_report(records, timings, page, store=options.store, tuning=tuning))
    beside = f" with {len(files)} figures: {', '.join(file.name for file in files)}" if files else ""
    print(f"{path}{beside}", file=sys.stderr)
    return 0
