"""`gpu-check`: everything that needs a GPU, in pieces that can be resumed; without one, the pieces on a CPU."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contracts.errors import UserError

if TYPE_CHECKING:
    from harness.gpu.bench import Bench
    from harness.gpu.runner import Outcome

FOLDER, REHEARSAL = Path(".harness/gpu"), Path(".harness/gpu-rehearsal")
"""Results of a GPU, and of a CPU that stands for one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", help="run, where none is given")
    run = actions.add_parser("run", help="do what is not done yet", description="Do what is not done yet.")
    for each in (parser, run):
        text = "pieces by name, or by its beginning, as in speed-"
        each.add_argument("--only", nargs="+", default=[], metavar="PIECE", help=text)
        text = "begin no piece that would end later; the same command goes on from there"
        each.add_argument("--minutes", metavar="N", help=text)
        each.add_argument("--again", action="store_true", help="do finished pieces too")
        each.add_argument("--results", metavar="FOLDER", help=f"default: {FOLDER}, without a GPU {REHEARSAL}")
        each.add_argument("--quiet", action="store_true", help="no progress on standard error")
    listed = actions.add_parser("list", help="the pieces, estimated minutes, and what is done of them")
    listed.add_argument("--results", metavar="FOLDER", help=f"default: {FOLDER}")
    report = actions.add_parser("report", help="write the page docs/gpu.md from a folder of results")
    report.add_argument("folder", metavar="FOLDER", help="an empty one gives a page that says what is untested")
    report.add_argument("-o", "--output", metavar="FILE.md", help="default: print it")
    actions.add_parser("wheels", help="what to bring along to a machine without network, and its size")


def main(options: argparse.Namespace) -> int:
    """Do what was asked."""
    if options.action == "wheels":
        from harness.gpu import wheels

        print("\n".join([*wheels.lines(), "", *wheels.COMMANDS]))
        return 0
    if options.action == "list":
        return _list(Path(options.results or FOLDER))
    if options.action == "report":
        return _report(Path(options.folder), options.output)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    minutes = _minutes(options.minutes)
    from harness.gpu.bench import Bench, missing_gpu
    from harness.gpu.catalogue import choose
    from harness.gpu.runner import in_process_of_its_own, in_this_process, run_pieces

    missing = missing_gpu()
    bench = Bench(device="cpu", small=True) if missing else Bench(device="cuda")
    folder = Path(options.results or (REHEARSAL if missing else FOLDER))
    outcome = run_pieces(
        choose(options.only),
        bench,
        folder,
        minutes=minutes,
        again=options.again,
        start=in_this_process if missing else in_process_of_its_own,
        watch=(lambda _: None) if options.quiet else (lambda text: print(text, file=sys.stderr, flush=True)),
    )
    for result in outcome.bad:
        for row in result.wrong:
            print(f"wrong: {result.piece}: {row.case}: {row.found}", file=sys.stderr)
    if missing and not outcome.bad:
        count = len(outcome.results)
        tried = f"{count} of {count + len(outcome.left)} pieces were tried at small sizes on the CPU and are right"
        raise UserError(f"no GPU here: {missing}; {tried}, which says nothing of a GPU; run it on a machine with one")
    print(_summary(outcome, bench, folder))
    return 1 if outcome.bad or outcome.left else 0


def _summary(outcome: Outcome, bench: Bench, folder: Path) -> str:
    right = len(outcome.results) - len(outcome.bad)
    parts = [f"{bench.name}: {right} of {len(outcome.results)} pieces right"]
    parts += [f"{result.piece} {result.verdict}" for result in outcome.bad]
    if outcome.left:
        parts.append(f"{len(outcome.left)} left, the same command goes on")
    advice = f"; page: python -m harness gpu-check report {folder} -o docs/gpu.md" if bench.is_gpu else ""
    return "; ".join(parts) + advice


def _minutes(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UserError(f"--minutes is a positive number, got {text!r}")
    return value


def _list(folder: Path) -> int:
    from harness.gpu.catalogue import all_pieces
    from harness.gpu.results import read

    pieces = all_pieces()
    for piece in pieces:
        result = read(folder, piece.name)
        state = "" if result is None else f"  {result.card}: {result.verdict}"
        old = "" if result is None or result.source == piece.source else " (by other code)"
        print(f"{piece.name:<28} {piece.minutes:4g} min  {piece.title}{state}{old}")
    print(f"{len(pieces)} pieces, {sum(piece.minutes for piece in pieces):g} minutes on a GPU, estimated")
    return 0


def _report(folder: Path, output: str | None) -> int:
    from harness.gpu.catalogue import all_pieces
    from harness.gpu.page import render
    from harness.gpu.results import read_all

    if not folder.is_dir():
        raise UserError(f"gpu-check report takes a folder of results, which may be empty, got {str(folder)!r}")
    if output is not None and not Path(output).parent.is_dir():
        raise UserError(f"gpu-check report: the folder {str(Path(output).parent)!r} does not exist; make it first")
    text = render(read_all(folder), all_pieces())
    if output is None:
        print(text, end="")
    else:
        Path(output).write_text(text)
    return 0
