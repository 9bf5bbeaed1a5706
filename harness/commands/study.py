"""`study`: a study that is written down in a TOML file, planned, run, watched and reported."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contracts.errors import UserError

from ._options import add_execution_arguments, add_logger_arguments, add_run_arguments, execution_of, write_page
from .run import print_request, run_and_print

if TYPE_CHECKING:
    from harness.registry.cells import Run
    from harness.registry.study import Study
    from harness.running.request import Request
    from harness.store.record import Record
    from harness.store.store import Store

READY = ("first-look", "learning-rates", "scan-schemes")
"""Studies that come with the harness, by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in {
        "plan": "its cells and runs, and what they will take, from a few timed steps",
        "run": "run what the store does not have yet, and print the tables",
        "status": "how far it is, from the store alone",
        "watch": "the same, again and again, while another process runs it",
        "report": "write one Markdown page from its store",
    }.items():
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        action.add_argument("file", metavar="FILE", help=f"a TOML file, or one of {', '.join(READY)}")
        if name == "run":
            add_run_arguments(action, store="NAME.sqlite, NAME as in the file")
            add_logger_arguments(action)
            add_execution_arguments(action, default="instead of what the file says")
        else:
            action.add_argument("--store", metavar="FILE", help="default: NAME.sqlite, NAME as in the file")
        if name == "plan":
            action.add_argument("--no-probe", action="store_true", help="count only, measure nothing")
        if name == "watch":
            action.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="default: 5")
        if name == "report":
            action.add_argument("-o", "--output", metavar="FILE", help="a .md or an .html file (default: NAME.md)")


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    from harness.running.execution import resolve_device
    from harness.running.request_text import read_study

    request = read_study(path_of(options.file)).changed(store=options.store)
    if options.action == "run":
        executor, overwrite = execution_of(options, request.executor), options.overwrite or None
        request = request.changed(executor=executor, overwrite=overwrite, loggers=options.loggers)
        if options.print:
            return print_request(request, options.print)
        return run_and_print(request, form="table", quiet=options.quiet)
    study = request.study(resolve_device(request.device, request.executor))
    actions = {"plan": _plan, "status": _status, "watch": _watch, "report": _report}
    return actions[options.action](options, request, study)


def path_of(text: str) -> Path:
    """A file, or a study that comes with the harness."""
    if text in READY and not Path(text).exists():
        from harness import reports  # pyright: ignore[reportAttributeAccessIssue]

        return Path(reports.__file__).parent / "studies" / f"{text}.toml"
    return Path(text)


def _plan(options: argparse.Namespace, request: Request, study: Study) -> int:
    from harness.analysis.tables import terminal_table
    from harness.registry.cells import display_spec
    from harness.running.study import runs_a_cell

    axes = ("task", "architecture", "scan", "protocol")
    counts = ", ".join(f"{len({getattr(cell, axis) for cell in study.cells})} {axis}s" for axis in axes)
    print(f"{request.name}: {len(study.cells)} cells ({counts})")
    tuning, final = runs_a_cell(study)
    most = "at most " if request.rule is not None else ""
    print(f"{tuning * len(study.cells):,} tuning runs, {most}{final * len(study.cells):,} final runs on {study.device}")
    if options.no_probe:
        return 0
    from harness.running.cost_estimate import Cost, costs_of

    def watch(number: int, count: int) -> None:
        print(f"\rprobing {number + 1} of {count} kinds of cell", end="", file=sys.stderr, flush=True)

    costs = costs_of(study.cells, device=study.device, dtype=study.dtype, watch=watch)
    print(file=sys.stderr)
    groups: dict[tuple[str, str], list[Cost | str]] = {}
    for cell, cost in costs.items():
        names = display_spec("task", cell.task), display_spec("architecture", cell.architecture)
        groups.setdefault(names, []).append(cost)
    columns: dict[str, list[str]] = {name: [] for name in ("task", "architecture", "cells", "a run", "all", "peak")}
    for (task, architecture), group in groups.items():
        known = [cost for cost in group if isinstance(cost, Cost)]
        seconds = sum(cost.seconds for cost in known)
        peak = max((cost.peak_bytes or 0 for cost in known), default=0)
        a_run = duration(seconds / len(known)) if known else next(cost for cost in group if isinstance(cost, str))
        shown = f"{peak / 2**20:.1f} MiB" if peak else ""
        line = task, architecture, str(len(group)), a_run, duration(seconds * (tuning + final)), shown
        for column, text in zip(columns.values(), line, strict=True):
            column.append(text)
    print("\n" + terminal_table(columns))
    total = sum(cost.seconds for cost in costs.values() if isinstance(cost, Cost)) * (tuning + final)
    workers = request.executor.workers_on(study.device)
    shared = f"{duration(total / workers)} on {workers} worker(s)"
    if request.executor.kind == "ray":
        shared = "shared by what the Ray cluster has room for"
    timing = ", and a timing session after it" if study.timing else ""
    print(f"\nabout {duration(total)} of processor time, {shared}{timing};")
    print("from a few steps of each kind of cell, so take it as a hint")
    return 0


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def runs_of(study: Study, store: Store) -> tuple[list[Run], list[Run] | None]:
    """Tuning runs and final runs; the latter are not known before every tuning run has a record."""
    from harness.running.study import final_runs
    from harness.running.tuning import tune_with

    if not study.tune:
        return [], final_runs(study, study.cells)
    tuning: list[Run] = []

    def find(runs: list[Run]) -> Mapping[str, Record]:
        tuning.extend(runs)
        return store.find_many(run.key for run in runs)

    tuned = tune_with(study, find)
    return tuning, None if isinstance(tuned, list) else final_runs(study, tuned.cells, tuned.rates)


def status_lines(request: Request, study: Study) -> tuple[list[str], bool]:
    """What stands in the store, in words, and whether that is everything, or all that it takes to decide."""
    from harness.running.answer import forecast_request
    from harness.store.store import Store

    path = request.store_path
    if not Path(path).exists():
        return [f"nothing yet: {path} does not exist"], False
    lines, whole = [], True
    if request.rule is not None:
        lines = forecast_request(request).splitlines()
        return lines, all(line.endswith("all there") for line in lines)
    with Store(path, read_only=True) as store:
        tuning, final = runs_of(study, store)
        for name, runs in (("tuning runs", tuning), ("runs", final)):
            if runs is None:
                lines.append(f"{len(study.cells) * len(study.seeds)} runs to do once the tuning runs are done")
                whole = False
            elif runs:
                keys = {run.key for run in runs}
                statuses = Counter(store.statuses(keys).values())
                there = sum(statuses.values())
                whole &= there == len(keys)
                detail = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
                lines.append(f"{there} of {len(keys)} {name}" + (f": {detail}" if detail else ""))
    return lines, whole


def _status(options: argparse.Namespace, request: Request, study: Study) -> int:
    lines, whole = status_lines(request, study)
    print("\n".join([f"{request.name} in {request.store_path}", *(f"  {line}" for line in lines)]))
    if not whole:
        print(f"  go on with: python -m harness {_run_words(options)}")
    return 0


def _run_words(options: argparse.Namespace) -> str:
    return f"study run {options.file}" + (f" --store {options.store}" if options.store else "")


def _watch(options: argparse.Namespace, request: Request, study: Study) -> int:
    if not options.every > 0:
        raise UserError(f"--every is a number of seconds above 0, got {options.every}")
    shown: Sequence[str] = ()
    while True:
        lines, whole = status_lines(request, study)
        if lines != shown:
            print(time.strftime("%H:%M:%S"), "; ".join(lines), flush=True)
            shown = lines
        if whole:
            return 0
        time.sleep(options.every)


def _report(options: argparse.Namespace, request: Request, study: Study) -> int:
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.reports.html_page import page_path  # pyright: ignore[reportMissingImports]
    from harness.store.store import Store

    path = request.store_path
    page = page_path(options.output or f"{request.name}.md", subject="study report")
    with Store(path, read_only=True, made_by=_run_words(options)) as store:
        trials, final = runs_of(study, store)
        records = list(store.find_many(run.key for run in final or ()).values())
        tuning = list(store.find_many(run.key for run in trials).values())
        timings = store.timings()
    if not records:
        raise UserError(f"study report: {path} holds no final runs of {request.name}; run it first")
    cells, primary = {record["cell"] for record in records}, request.primary_pair
    shown = [row for row in timings if row["cell"] in cells]
    how = {"store": path, "primary": primary, "tuning": tuning}
    return write_page(page, lambda where: write_report(records, shown, where, **how))
