"""`import`: runs that `export` wrote as JSON Lines or Parquet, into a store."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

BATCH = 1000
"""Records that are written in one transaction; others may write in between."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="x.jsonl or x.parquet; x.timings.* beside it is read too")
    parser.add_argument("-o", "--store", required=True, metavar="STORE", help="made when it is not there")
    parser.add_argument("--overwrite", action="store_true", help="replace what the store has with other content")


def main(options: argparse.Namespace) -> int:
    """Write what is valid and new; say what was refused, a line each; exit with 2 if anything was."""
    from harness.store.exchange import TIMING_FIELDS, read_runs, read_timings, timings_path
    from harness.store.record import problems_of, upgrade
    from harness.store.store import Store

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in TIMING_FIELDS)

    def timing_problems(row: dict[str, Any]) -> list[str]:
        wrong = [name for name in TIMING_FIELDS if not isinstance(row.get(name), str)]
        return [f"field {name!r}: {row.get(name)!r}; must be a text" for name in wrong]

    path = Path(options.file)
    rows, timings = read_runs(path), read_timings(path)
    rows = chain(list(islice(rows, 1)), rows)  # a file that is none of ours makes no store
    runs, timed = Intake(path, options.overwrite), Intake(timings_path(path), options.overwrite)
    with Store(options.store) as store:
        upgraded = (row if isinstance(row, str) else upgrade(row) for row in rows)
        accepted = runs.accepted(upgraded, problems_of, lambda record: store.find(record["key"]))
        for first in accepted:
            store.write_many(chain([first], islice(accepted, BATCH - 1)))
        known = {place(row): row for row in store.timings()}
        store.write_timings(timed.accepted(timings, timing_problems, lambda row: known.get(place(row))))
    print(f"{options.store}: {runs.summary('runs')}", file=sys.stderr)
    if timed.did:
        print(f"{options.store}: {timed.summary('timing rows')}", file=sys.stderr)
    return 2 if runs.did["refused"] or timed.did["refused"] else 0


class Intake:
    """Decides row by row what of a file is written, and counts what became of each."""

    def __init__(self, path: Path, overwrite: bool):
        self.path, self.overwrite = path, overwrite
        self.did = Counter[str]()

    def accepted(
        self,
        rows: Iterator[dict[str, Any] | str],
        problems: Callable[[dict[str, Any]], list[str]],
        find: Callable[[dict[str, Any]], dict[str, Any] | None],
    ) -> Iterator[dict[str, Any]]:
        """The rows that are valid and new, or replace others; `find` gives what the store has in a row's place."""
        from harness.store.packing import text_of

        for number, row in enumerate(rows, start=1):
            if isinstance(row, str) or (lines := problems(row)):
                self._refuse(number, [row] if isinstance(row, str) else lines)
                continue
            there = find(row)
            differing = [n for n in {**(there or {}), **row} if text_of((there or {}).get(n)) != text_of(row.get(n))]
            if there is not None and not differing:
                self.did["there already"] += 1
            elif there is not None and not self.overwrite:
                names = ", ".join(differing)
                self._refuse(number, [f"the store has it with other content ({names}); --overwrite replaces it"])
            else:
                self.did["written" if there is None else "replaced"] += 1
                yield row

    def _refuse(self, number: int, lines: list[str]) -> None:
        self.did["refused"] += 1
        for line in lines:
            print(f"refused: {self.path.name} row {number}: {line}", file=sys.stderr)

    def summary(self, noun: str) -> str:
        kinds = ("written", "replaced", "there already", "refused")
        counts = ", ".join(f"{self.did[kind]:,} {kind}" for kind in kinds if self.did[kind] or kind == "written")
        return f"{noun} of {self.path.name}: {counts}"
