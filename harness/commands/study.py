"""`study`: a study that is written down in a TOML file, planned, run, watched and reported."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.run import SINK_HELP
from harness.errors import UserError
from harness.execution_options import add_execution_arguments, execution_asked

if TYPE_CHECKING:
    from harness.cells import Run
    from harness.store import Store
    from harness.study import Study
    from harness.study_file import StudyFile

READY = ("first-look", "learning-rates", "scan-schemes")
"""Studies that come with the harness, by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in {
        "plan": "its cells and runs, and what they will take, from a short probe",
        "run": "run what the store does not have yet, and print the tables",
        "status": "how far it is, from the store alone",
        "watch": "the same, again and again, while another process runs it",
        "report": "write one Markdown page from its store",
    }.items():
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        action.add_argument("file", metavar="FILE", help=f"a TOML file, or one of {', '.join(READY)}")
        action.add_argument("--store", metavar="FILE", help="default: NAME.sqlite, NAME as in the file")
        if name == "plan":
            action.add_argument("--no-probe", action="store_true", help="count only, measure nothing")
        if name == "run":
            add_execution_arguments(action, default="instead of what the file says")
            action.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
            action.add_argument("--sink", action="append", default=[], metavar="KIND:TARGET", help=SINK_HELP)
            action.add_argument("--quiet", action="store_true", help="no progress on standard error")
        if name == "watch":
            action.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="default: 5")
        if name == "report":
            action.add_argument("-o", "--output", metavar="FILE", help="a .md or an .html file (default: NAME.md)")


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    from harness.api import resolve_device
    from harness.execution import execution_from
    from harness.study_file import read_study

    found = read_study(path_of(options.file))
    if options.action == "run":
        found = found.model_copy(update={"executor": execution_from(execution_asked(options), found.executor)})
    study = found.study(resolve_device(found.device, found.executor))
    store = options.store or f"{found.name}.sqlite"
    actions = {"plan": _plan, "run": _run, "status": _status, "watch": _watch, "report": _report}
    return actions[options.action](options, found, study, store)


def path_of(text: str) -> Path:
    """A file, or a study that comes with the harness."""
    if text in READY and not Path(text).exists():
        from harness import reports  # pyright: ignore[reportAttributeAccessIssue]

        return Path(reports.__file__).parent / "studies" / f"{text}.toml"
    return Path(text)


def _plan(options: argparse.Namespace, found: StudyFile, study: Study, path: str) -> int:
    from harness.cells import short
    from harness.tables import terminal_table

    counts = [
        len({getattr(cell, axis) for cell in study.cells}) for axis in ("task", "architecture", "scan", "protocol")
    ]
    names = ("tasks", "architectures", "scans", "protocols")
    print(
        f"{found.name}: {len(study.cells)} cells ({', '.join(f'{c} {n}' for c, n in zip(counts, names, strict=True))})"
    )
    tuning, final = runs_a_cell(study)
    print(f"{tuning * len(study.cells):,} tuning runs, {final * len(study.cells):,} final runs on {study.device}")
    if options.no_probe:
        return 0
    from harness.probe import Cost, costs_of

    def watch(number: int, count: int) -> None:
        print(f"\rprobing {number + 1} of {count} kinds of cell", end="", file=sys.stderr, flush=True)

    costs = costs_of(study.cells, device=study.device, dtype=study.dtype, watch=watch)
    print(file=sys.stderr)
    groups: dict[tuple[str, str], list[Cost | str]] = {}
    for cell, cost in costs.items():
        groups.setdefault((short("task", cell.task), short("architecture", cell.architecture)), []).append(cost)
    columns: dict[str, list[str]] = {name: [] for name in ("task", "architecture", "cells", "a run", "all", "peak")}
    for (task, architecture), group in groups.items():
        known = [cost for cost in group if isinstance(cost, Cost)]
        seconds = sum(cost.seconds for cost in known)
        peak = max((cost.peak_bytes or 0 for cost in known), default=0)
        reasons = [cost for cost in group if isinstance(cost, str)]
        values = (task, architecture, str(len(group)), duration(seconds / len(known)) if known else reasons[0])
        values += (duration(seconds * (tuning + final)), f"{peak / 2**20:.1f} MiB" if peak else "")
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    print("\n" + terminal_table(columns))
    total = sum(cost.seconds for cost in costs.values() if isinstance(cost, Cost)) * (tuning + final)
    print(f"\nabout {duration(total)} of processor time{_shared(total, found, study)}, and a timing session after it;")
    print("from a few steps of each kind of cell, so take it as a hint")
    return 0


def _shared(total: float, found: StudyFile, study: Study) -> str:
    if found.executor.kind == "ray":
        return ", shared by what the Ray cluster has room for"
    workers = found.executor.local_workers(study.device)
    return f", {duration(total / workers)} on {workers} worker(s)"


def runs_a_cell(study: Study) -> tuple[int, int]:
    """Tuning runs and final runs of each cell."""
    from harness.study import tuning_rates

    rates = len(next(iter(tuning_rates(study).values()))) if study.tune else 0
    return rates * len(study.tuning_seeds), len(study.seeds)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _run(options: argparse.Namespace, found: StudyFile, study: Study, path: str) -> int:
    from harness.api import check_before_run
    from harness.ending import tell_ending
    from harness.progress import Progress
    from harness.routing import scan_from
    from harness.sinks import opened
    from harness.store import Store
    from harness.study import run_study
    from harness.summary import findings_of, mixtures, rows_of
    from harness.tables import render

    executor = found.executor.executor(study.device, study.training, found.plugins)
    with Store(path) as store, opened(options.sink) as sinks:
        outcome = run_study(
            study,
            store,
            executor=executor,
            fresh=options.fresh,
            timing=found.timing,
            progress=Progress(quiet=options.quiet),
            check=check_before_run,
            sinks=sinks,
        )
    rows = rows_of(outcome.records, outcome.timings)
    primary = (scan_from(found.primary[0])[0], scan_from(found.primary[1])[0])
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(render(rows, findings_of(rows, primary), form="table", width=width))
    for warning in mixtures(outcome.records):
        print(f"warning: {warning}", file=sys.stderr)
    return tell_ending([outcome], options.store)


def runs_of(study: Study, store: Store) -> tuple[list[Run], list[Run] | None]:
    """Tuning runs and final runs; the latter are not known before every tuning run has a record."""
    from harness.study import best_cells, final_runs, tuning_runs

    if not study.tune:
        return [], final_runs(study, study.cells)
    tuning = tuning_runs(study)
    records = store.find_many(run.key for run in tuning)
    if len(records) < len({run.key for run in tuning}):
        return tuning, None
    return tuning, final_runs(study, best_cells(study, records))


def status_lines(study: Study, path: str) -> tuple[list[str], bool]:
    """What stands in the store, in words, and whether that is everything."""
    from harness.store import Store

    if not Path(path).exists():
        return [f"nothing yet: {path} does not exist"], False
    lines, whole = [], True
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


def _status(options: argparse.Namespace, found: StudyFile, study: Study, path: str) -> int:
    lines, whole = status_lines(study, path)
    print("\n".join([f"{found.name} in {path}", *(f"  {line}" for line in lines)]))
    if not whole:
        print(f"  go on with: python -m harness study run {options.file}" + _store_option(options))
    return 0


def _watch(options: argparse.Namespace, found: StudyFile, study: Study, path: str) -> int:
    if not options.every > 0:
        raise UserError(f"--every is a number of seconds above 0, got {options.every}")
    shown: Sequence[str] = ()
    while True:
        lines, whole = status_lines(study, path)
        if lines != shown:
            print(time.strftime("%H:%M:%S"), "; ".join(lines), flush=True)
            shown = lines
        if whole:
            return 0
        time.sleep(options.every)


def _report(options: argparse.Namespace, found: StudyFile, study: Study, path: str) -> int:
    from harness.reports.comparison import write_report  # pyright: ignore[reportMissingImports]
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]
    from harness.routing import scan_from
    from harness.store import Store

    page = page_path(options.output or f"{found.name}.md", subject="study report")
    made_by = f"study run {options.file}{_store_option(options)}"
    with Store(path, read_only=True, made_by=made_by) as store:
        trials, final = runs_of(study, store)
        records = list(store.find_many(run.key for run in final or ()).values())
        tuning = list(store.find_many(run.key for run in trials).values())
        timings = store.timings()
    if not records:
        raise UserError(f"study report: {path} holds no final runs of {found.name}; run it first")
    primary = (scan_from(found.primary[0])[0], scan_from(found.primary[1])[0])
    cells = {record["cell"] for record in records}
    shown = [row for row in timings if row["cell"] in cells]
    files = write_as(
        page, lambda where: write_report(records, shown, where, store=path, primary=primary, tuning=tuning)
    )
    beside = f" with {len(files)} figures: {', '.join(file.name for file in files)}" if files else ""
    print(f"{page}{beside}", file=sys.stderr)
    return 0


def _store_option(options: argparse.Namespace) -> str:
    return f" --store {options.store}" if options.store else ""
