"""`scan-orders`: which scan order, for which architecture and task; one study and its page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from harness.errors import UserError

STORE, PAGE = "scan-orders.sqlite", "scan-orders.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the three sizes of the study: tasks, architectures, orders, runs")
    run = actions.add_parser("run", help="run the study; what the store has is not run again")
    size = run.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a minute, to see that everything works")
    size.add_argument("--full", action="store_true", help="every order and task, more architectures, readout=last")
    run.add_argument("--seeds", type=int, metavar="N", help="seeds of every cell (see: scan-orders list)")
    run.add_argument("--store", default=STORE, metavar="FILE", help=f"default: {STORE}")
    run.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    run.add_argument("--workers", type=int, metavar="N", help="worker processes (default: all processors; 0: none)")
    run.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
    run.add_argument("--quiet", action="store_true", help="no progress on standard error")
    report = actions.add_parser("report", help="write one Markdown page with figures from the store")
    report.add_argument("--store", default=STORE, metavar="FILE", help=f"default: {STORE}")
    report.add_argument(
        "-o", "--output", default=PAGE, metavar="FILE", help=f"a .md or an .html file (default: {PAGE})"
    )


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"list": _list, "run": _run, "report": _report}[options.action](options)


def _list(options: argparse.Namespace) -> int:
    from harness.cells import short
    from harness.reports.scan_orders.study import PLANS  # pyright: ignore[reportMissingImports]

    for name, make in PLANS.items():
        plan = make()
        print(f"{name}: {plan.text.partition(': ')[2]}")
        for axis in ("task", "architecture", "scan"):
            texts = dict.fromkeys(getattr(cell, axis) for cell in plan.cells)
            print(f"  {axis}: {' '.join(short(axis, text) for text in texts)}")
        for text in dict.fromkeys(cell.protocol for cell in plan.cells):
            print(f"  protocol: {short('protocol', text)}")
        primary = f" ({plan.primary_seeds} under horizontal and hilbert)" if plan.primary_seeds > plan.seeds else ""
        print(f"  seeds: {plan.seeds}{primary}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from harness.api import resolve_device
    from harness.progress import Progress
    from harness.reports.scan_orders import study  # pyright: ignore[reportMissingImports]
    from harness.reports.scan_orders.running import run_plan  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    if options.seeds is not None and not 1 <= options.seeds <= 100_000:
        raise UserError(f"--seeds is from 1 to 100000, got {options.seeds}")
    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers is 0 or more, got {options.workers}")
    device = resolve_device(options.device)
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    plan = study.PLANS["quick" if options.quick else "full" if options.full else "default"](options.seeds)
    with Store(options.store) as store:
        if not options.quiet:
            print(plan.text, file=sys.stderr)
        outcomes = run_plan(
            plan,
            store,
            workers=workers,
            device=device,
            progress=Progress(quiet=options.quiet),
            fresh=options.fresh,
        )
    records = [record for outcome in outcomes for record in outcome.records]
    stale = {key for outcome in outcomes for key in outcome.stale}
    if stale:
        print(
            f"warning: {len(stale)} runs of {options.store} were made by other source; --fresh runs them again",
            file=sys.stderr,
        )
    _summarize(records)
    failed = [record for record in records if record["status"] in ("failed", "out-of-memory")]
    for record in failed[:5]:
        print(
            f"{record['status']}: {record['task']} {record['architecture']} {record['scan']} seed {record['seed']}:"
            f" {record['reason']}",
            file=sys.stderr,
        )
    if not options.quiet:
        print(f"the page: python -m harness scan-orders report --store {options.store}", file=sys.stderr)
    return 1 if failed else 0


def _summarize(records) -> None:
    """The sentences of the first screen on standard output, for the setting with most runs."""
    from harness.reports.scan_orders.results import results_of  # pyright: ignore[reportMissingImports]
    from harness.reports.scan_orders.summary import judge, sentences_of  # pyright: ignore[reportMissingImports]

    for sentence in sentences_of(judge(results_of(records, [])[0])):
        print(sentence.replace("**", ""))


def _report(options: argparse.Namespace) -> int:
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]
    from harness.reports.scan_orders.page import write_page  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    path = page_path(options.output, subject="scan-orders report")
    with Store(options.store, read_only=True) as store:
        records = [record for record in store.records(tuning=True) if record["protocol"].startswith("standard:")]
        timings = store.timings()
    if not any(record["purpose"] == "final" for record in records):
        raise UserError(
            f"scan-orders report: {options.store} holds no runs of it; make some with:"
            " python -m harness scan-orders run"
        )
    name = Path(options.store).name
    pictures = write_as(path, lambda page: write_page(records, timings, page, store=name))
    print(f"{path} with {len(pictures)} figures" if pictures else str(path), file=sys.stderr)
    return 0
