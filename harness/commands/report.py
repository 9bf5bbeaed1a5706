"""`report`: a page from a store alone, as Markdown with PNG figures or as one HTML file, or from a benchmark file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.contracts.errors import UserError
from harness.registry import load_plugin

from ._options import add_plugin_argument, write_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("store", metavar="STORE", help="a store, runs of export, or what pytest --benchmark-json wrote")
    text = "a .md or an .html file (default: report.md)"
    parser.add_argument("-o", "--output", default="report.md", metavar="FILE", help=text)
    add_plugin_argument(parser)


def main(options: argparse.Namespace) -> int:
    """Write the report and its figures beside it."""
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]

    for plugin in options.plugins:
        load_plugin(plugin)
    path = page_path(options.output, subject="report")
    if options.store.endswith(".json"):
        from harness.reports.benchmarks import write_benchmarks  # pyright: ignore[reportMissingImports]

        counts: list[int] = []
        write_as(path, lambda page: counts.append(write_benchmarks(Path(options.store), page)) or [])
        print(f"{path} with {counts[0]} benchmarks", file=sys.stderr)
        return 0
    from harness.registry.cells import FINAL
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.store.exchange import read_recorded
    from harness.store.store import Store

    if Path(options.store).suffix in (".jsonl", ".parquet"):
        everything, timings = read_recorded(Path(options.store))
    else:
        with Store(options.store, read_only=True) as store:
            everything, timings = store.records(tuning=True), store.timings()
    records = [record for record in everything if record["purpose"] == FINAL]
    tuning = [record for record in everything if record["purpose"] != FINAL]
    if not records:
        raise UserError(f"report: {options.store} holds no runs; make some with: python -m harness run")
    return write_page(path, lambda page: write_report(records, timings, page, store=options.store, tuning=tuning))
