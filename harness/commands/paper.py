"""`paper`: the figures, tables and theorems of arXiv 2602.12499, run, judged and written up."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from harness.errors import UserError

QUICK_TRIALS, TRIALS = 10, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the experiments, what each claims and how many runs it takes")
    run = actions.add_parser("run", help="run experiments; what the store has is not run again")
    run.add_argument("ids", nargs="*", metavar="ID", help="default: all")
    run.add_argument("--quick", action="store_true", help=f"{QUICK_TRIALS} trials a point instead of {TRIALS}")
    run.add_argument("--trials", type=int, metavar="N", help="trials a point; overrides --quick")
    run.add_argument("--store", default="paper.sqlite", metavar="FILE", help="default: paper.sqlite")
    run.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    run.add_argument("--workers", type=int, metavar="N", help="worker processes (default: all processors; 0: none)")
    run.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
    run.add_argument("--quiet", action="store_true", help="no progress on standard error")
    report = actions.add_parser("report", help="write one Markdown page with figures from the store")
    report.add_argument("--store", default="paper.sqlite", metavar="FILE", help="default: paper.sqlite")
    report.add_argument(
        "-o", "--output", default="paper.md", metavar="FILE", help="a .md or an .html file (default: paper.md)"
    )


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"list": _list, "run": _run, "report": _report}[options.action](options)


def _list(options: argparse.Namespace) -> int:
    from harness.reports.paper.catalogue import EXPERIMENTS  # pyright: ignore[reportMissingImports]
    from harness.reports.paper.running import runs_of  # pyright: ignore[reportMissingImports]

    for experiment in EXPERIMENTS:
        print(f"{experiment.id:<11} {experiment.title}; {runs_of([experiment], QUICK_TRIALS)} runs with --quick")
    return 0


def _run(options: argparse.Namespace) -> int:
    from harness.api import resolve_device
    from harness.ending import tell_ending
    from harness.progress import Progress
    from harness.reports.paper.catalogue import chosen  # pyright: ignore[reportMissingImports]
    from harness.reports.paper.running import run_experiments, runs_of  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    experiments = chosen(options.ids)
    trials = options.trials if options.trials is not None else QUICK_TRIALS if options.quick else TRIALS
    if not 1 <= trials <= 100_000:
        raise UserError(f"--trials is from 1 to 100000, got {trials}")
    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers is 0 or more, got {options.workers}")
    device = resolve_device(options.device)
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    progress = Progress(quiet=options.quiet)
    with Store(options.store) as store:
        if not options.quiet:
            names = ", ".join(experiment.id for experiment in experiments)
            runs = runs_of(experiments, trials)
            print(f"{names}: {trials} trials a point, {runs} runs to begin with", file=sys.stderr)
        outcomes = run_experiments(
            experiments,
            store,
            trials=trials,
            workers=workers,
            device=device,
            progress=progress,
            fresh=options.fresh,
        )
        records = [record for outcome in outcomes for record in outcome.records]
    _summarize(experiments, records)
    return tell_ending(outcomes, options.store)


def _summarize(experiments, records) -> None:
    """A line an experiment on standard output."""
    from harness.reports.paper.experiment import Results, verdict  # pyright: ignore[reportMissingImports]

    results = Results(records)
    for experiment in experiments:
        checks = experiment.judge(results)
        held = sum(bool(check.holds) for check in checks)
        print(f"{experiment.id:<11} {verdict(checks):<12} {held} of {len(checks)} checks hold  {experiment.title}")


def _report(options: argparse.Namespace) -> int:
    from harness.provenance import is_stale
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]
    from harness.reports.paper.catalogue import EXPERIMENTS  # pyright: ignore[reportMissingImports]
    from harness.reports.paper.page import write_page  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    path = page_path(options.output, subject="paper report")
    with Store(options.store, read_only=True, made_by="paper run --store {path}") as store:
        records = [record for record in store.records() if record["protocol"].startswith("paper:")]
    if not records:
        raise UserError(
            f"paper report: {options.store} holds no runs of it; make some with: python -m harness paper run"
        )
    command = f"python -m harness paper report --store {Path(options.store).name} -o {options.output}"
    stale = sum(map(is_stale, records))
    pictures = write_as(path, lambda page: write_page(EXPERIMENTS, records, page, command=command, stale=stale))
    print(f"{path} with {len(pictures)} figures" if pictures else str(path), file=sys.stderr)
    return 0
