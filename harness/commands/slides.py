"""`slides`: feature bags checked; scan orders on slides from disk, as one resumable study and its page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from harness.errors import UserError

KEPT_MEBIBYTES = 32
"""What may be kept while memory is watched: less than the slides have, so that it shows whether it grows with them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read every bag of a folder once; a line for each bad one")
    check.add_argument("root", metavar="ROOT", help="the folder, as for the task wsi")
    run = actions.add_parser("run", help="write synthetic slides, train on them, take times and memory; resumes")
    run.add_argument("--quick", action="store_true", help="tiny slides, to see that everything works")
    run.add_argument("--folder", default="slides", metavar="DIR", help="where the slides go (default: slides)")
    run.add_argument("--store", default="slides.sqlite", metavar="FILE", help="default: slides.sqlite")
    run.add_argument("--workers", type=int, metavar="N", help="worker processes (default: all processors; 0: none)")
    run.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
    run.add_argument("--quiet", action="store_true", help="no progress on standard error")
    report = actions.add_parser("report", help="write one page with figures from the store")
    report.add_argument("--store", default="slides.sqlite", metavar="FILE", help="default: slides.sqlite")
    report.add_argument(
        "-o", "--output", default="slides.md", metavar="FILE", help="a .md or an .html file (default: slides.md)"
    )


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"check": _check, "run": _run, "report": _report}[options.action](options)


def _check(options: argparse.Namespace) -> int:
    from harness.tasks.slides.collection import bag_folder, inspect_all  # pyright: ignore[reportMissingImports]

    folder = bag_folder(options.root, subject="slides check")
    bags, bad = inspect_all(sorted(folder.glob("*.h5")), thorough=True)
    for error in bad:
        print(f"bad: {error}")
    for bag in bags.values():
        if bag.off_lattice or bag.collisions:
            print(
                f"{bag.slide}: {bag.off_lattice:,} of {bag.tiles:,} tiles off the lattice of most (step {bag.step}),"
                f" {bag.collisions:,} in a cell that was taken"
            )
    tiles = sum(bag.tiles for bag in bags.values())
    width = next((bag.width for bag in bags.values()), 0)
    print(f"{len(bags):,} good bags with {tiles:,} tiles of {width} features in {folder}, {len(bad):,} bad ones")
    return 1 if bad else 0


def _run(options: argparse.Namespace) -> int:
    from harness.ending import tell_ending
    from harness.progress import Progress
    from harness.reports.slides.study import (  # pyright: ignore[reportMissingImports]
        DIFFICULTY_SEEDS,
        PLANS,
        chosen_level,
    )
    from harness.store import Store
    from harness.study import Study, run_study

    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers is 0 or more, got {options.workers}")
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    plan = PLANS["quick" if options.quick else "default"]
    progress = Progress(quiet=options.quiet)
    with Store(options.store) as store:

        def run(cells: Any, seeds: Any) -> Any:
            study = Study(cells=cells, seeds=seeds)
            return run_study(study, store, workers=workers, fresh=options.fresh, timing=False, progress=progress)

        difficulty = run(plan.difficulty_cells(), DIFFICULTY_SEEDS)
        noise = chosen_level(difficulty.records)
        folder = _slides(Path(options.folder) / f"{plan.name}-noise{noise:g}", plan.task(noise), plan.slides, "clam")
        outcome = run(plan.cells(str(folder)), range(plan.folds))
        _time(plan.timed_cells(noise), store, progress, fresh=options.fresh)
        read = _slides(
            Path(options.folder) / f"{plan.name}-read",
            f"synthetic-slides:{plan.read_shape}",
            plan.read_slides,
            "trident",
        )
        _watch_memory(f"wsi:root={read}", store)
    code = tell_ending([difficulty, outcome], options.store)
    if not options.quiet:
        print(f"the page: python -m harness slides report --store {options.store}", file=sys.stderr)
    return code


def _slides(folder: Path, task: str, count: int, form: str) -> Path:
    """The slides in a folder, written unless they are there; labels.csv comes last, so with it they are whole."""
    from harness.cells import parse_task
    from harness.tasks.slides.making import make_slides  # pyright: ignore[reportMissingImports]

    if not (folder / "labels.csv").is_file():
        make_slides(folder, parse_task(task), count, form=form, seed=0)
    return folder


def _time(cells: Any, store: Any, progress: Any, *, fresh: bool) -> None:
    """Time the cells unless the store has them all, of today's source."""
    from harness.executors import in_worker
    from harness.provenance import source_of

    known = {(row["cell"], row["source"]) for row in store.timings()}
    if not fresh and all((cell.key, source_of(cell)) in known for cell in cells):
        return
    with progress.timing():
        work = {"cells": cells, "device": "cpu", "dtype": "float32"}
        store.write_timings(in_worker("time", work, plugins=(), watch=progress.note))


def _watch_memory(task: str, store: Any) -> None:
    import secrets

    from harness.provenance import provenance
    from harness.reading import reading_facts
    from harness.reports.slides.cost import READING  # pyright: ignore[reportMissingImports]

    here = provenance()
    row = {"session": secrets.token_hex(8), "cell": READING, "setting": task, "device": "cpu", "dtype": "float32"}
    row |= {"source": str(here["commit"]), "machine": here["machine"], "torch_version": here["torch_version"]}
    store.write_timings([row | reading_facts(task, KEPT_MEBIBYTES)])


def _report(options: argparse.Namespace) -> int:
    from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]
    from harness.reports.slides.page import write_page  # pyright: ignore[reportMissingImports]
    from harness.store import Store

    path = page_path(options.output, subject="slides report")
    with Store(options.store, read_only=True, made_by="slides run --store {path}") as store:
        records, timings = store.records(), store.timings()
    if not any(record["task"].startswith("wsi:") for record in records):
        raise UserError(
            f"slides report: {options.store} holds no runs of it; make some with: python -m harness slides run"
        )
    name = Path(options.store).name
    pictures = write_as(path, lambda page: write_page(records, timings, page, store=name))
    print(f"{path} with {len(pictures)} figures" if pictures else str(path), file=sys.stderr)
    return 0
