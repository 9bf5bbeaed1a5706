"""Doing what a study asks for: what the store has of it already, the rest done and written as it finishes."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.analysis.reproducibility import noise_floor, to_repeat
from harness.contracts.errors import UserError
from harness.contracts.outcome import BROKEN, FINISHED, Status
from harness.registry.cells import FINAL, Cell, Run, protocol_of
from harness.registry.study import READING, ReadingStage, Study
from harness.store.provenance import is_stale, provenance, source_of
from harness.store.record import Record
from harness.store.store import Store

from .declared import Decided
from .execution import Execution
from .executors import Executor, InProcess, Pool
from .open_loggers import Loggers
from .progress import Progress
from .study import final_runs
from .tuning import Tuned, tune_with


@dataclass(kw_only=True)
class Outcome:
    """What was asked for came to: final runs' records, timing rows, and what was found in the store.

    from_store: how many of the final runs. decided: the answers, where seeds were added until there were some. stale:
    keys of runs by other source, tuning runs included. table: the records in the form that was asked for.
    """

    records: list[Record] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    from_store: int = 0
    stale: list[str] = field(default_factory=list)
    table: str = ""

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records if record["status"] in BROKEN]


@dataclass(kw_only=True)
class Runner:
    """Runs, timings and readings: from the store where it has them, done now and written otherwise.

    overwrite: do again what the store has, once. loggers: hear of runs as they go and end, tuning runs too. checks:
    build each cell that is to run once before any runs, to say early what the user got wrong. outcome: what all of it
    came to. tried: learning rates by the cell that was asked for, once they are tuned.
    """

    store: Store
    executor: Executor
    progress: Progress
    loggers: Loggers = field(default_factory=Loggers)
    overwrite: bool = False
    checks: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    tried: dict[Cell, tuple[float, ...]] = field(default_factory=dict)
    _curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    def study(self, study: Study) -> list[Record]:
        """The whole study; returns the records of its final runs."""
        cells = self.tune(study)
        records = self.run(study, cells)
        self.time(study, cells, records)
        return records

    def tune(self, study: Study) -> list[Cell]:
        """The study's cells, each at its best learning rate where the study asks for that."""
        if not study.tune:
            return list(study.cells)
        tuned = tune_with(study, lambda runs: self._records(runs)[0])
        assert isinstance(tuned, Tuned)  # whatever is missing was run
        self.tried |= tuned.rates
        self._curves |= tuned.curves
        return tuned.cells

    def run(self, study: Study, cells: Sequence[Cell]) -> list[Record]:
        """Every seed of the cells; one run a cell is done twice where a device does not give the same bits twice."""
        runs = final_runs(study, cells, {cell: self.tried[cell] for cell in study.cells if cell in self.tried})
        found, from_store = self._records(runs)
        self.outcome.from_store += from_store
        again = to_repeat(runs, found)
        with self.progress.runs(again):
            for record in self.executor.map(again, self.progress.step):
                self.progress.finished(record)
                first = found[record["key"]]
                first["noise_floor"] = noise_floor(first, record)
                self.store.write(first)
        records = [found[run.key] for run in runs]
        self.outcome.records += records
        return records

    def _records(self, runs: Sequence[Run]) -> tuple[dict[str, Record], int]:
        """A record of every run by its key, and how many the store had."""
        known = [run.key for run in runs if not self.overwrite or run.key in self._done]
        found = {key: row for key, row in self.store.find_many(known).items() if row["status"] in FINISHED}
        from_store = len(found)
        # A record of other source under the same key is shown as stale, never passed off as today's.
        self.outcome.stale += [key for key, record in found.items() if is_stale(record)]
        missing = [run for run in dict.fromkeys(runs) if run.key not in found]
        if self.checks:
            for cell in dict.fromkeys(run.cell for run in missing):
                check_before_run(cell)

        def on_progress(run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
            self.progress.step(run, step, steps, loss, accuracy)
            self.loggers.on_progress(run, step, steps, loss, accuracy)

        with self.progress.runs(missing, in_store=from_store):
            for record in self.executor.map(missing, on_progress):
                if record["purpose"] == FINAL and record["cell"] in self._curves:
                    record["lr_curve"] = self._curves[record["cell"]]
                self.store.write(record)
                self._done.add(record["key"])
                found[record["key"]] = record
                self.progress.finished(record)
                self.loggers.on_record(record)
        return found, from_store

    def time(self, study: Study, cells: Sequence[Cell], records: Sequence[Record] | None = None) -> None:
        """One session that holds all the cells: the store's where there is one of this source and place, or a new one.

        Args:
            records: where given, only cells that have a finished run here and whose protocol is timed take part.
        """
        if records is not None:
            ran = {record["cell"] for record in records if record["status"] == Status.DONE}
            cells = [cell for cell in cells if study.timing and cell.key in ran and protocol_of(cell).timed]
        wanted = {cell.key: source_of(cell) for cell in cells}
        if not wanted:
            return
        place = {"device": study.device, "dtype": study.dtype}
        sessions: dict[str, dict[str, dict[str, Any]]] = {}
        here = place | {name: provenance(study.device)[name] for name in ("machine", "torch_version")}
        for row in () if self.overwrite else self.store.timings():
            if row["source"] == wanted.get(row["cell"]) and all(row[name] == here[name] for name in here):
                sessions.setdefault(row["session"], {})[row["cell"]] = row
        whole = [list(rows.values()) for rows in sessions.values() if len(rows) == len(wanted)]
        if whole:
            self.outcome.timings += whole[-1]
            return
        try:
            with self.progress.timing():
                rows = self.executor.time({"cells": list(cells), **place}, self.progress.note)
        except RuntimeError as error:
            # Accuracies are safe in the store by now; a timing session that broke must not hide them.
            print(f"warning: the timing session failed, so there are no speeds: {error}", file=sys.stderr)
            return
        self.store.write_timings(rows)
        self.outcome.timings += rows

    def read(self, stage: ReadingStage) -> None:
        """A pass over a set of slides, its memory watched; a row of the store where this source made one here."""
        from harness.timing.reading import reading_facts

        here = provenance()
        row = {"cell": READING, "setting": stage.task, "device": "cpu", "dtype": "float32"}
        row |= {"source": str(here["commit"]), "machine": here["machine"], "torch_version": here["torch_version"]}
        known = [each for each in self.store.timings() if row.items() <= each.items()]
        if self.overwrite or not known:
            facts = reading_facts(stage.task, stage.kept_mebibytes)
            known = [row | {"session": secrets.token_hex(8)} | facts]
            self.store.write_timings(known)
        self.outcome.timings.append(known[-1])


def check_before_run(cell: Cell) -> None:
    """Build a cell once: what the user got wrong is raised; what cannot run here or fails is its record's to say."""
    from harness.training.build import check_cell

    try:
        check_cell(cell)
    except UserError:
        raise
    except (Exception, SystemExit):
        return


def make_executor(execution: Execution, device: str, plugins: Sequence[str]) -> Executor:
    """The executor that is asked for, made anew.

    Raises:
        UserError: it cannot be had here.
    """
    execution.check_device(device)
    if execution.kind == "in-process":
        return InProcess(execution)
    if execution.kind == "pool":
        return Pool(execution.workers_on(device), plugins, execution)
    from .ray_executor import RayExecutor

    there = [str(Path(plugin).resolve()) if plugin.endswith(".py") else plugin for plugin in plugins]
    return RayExecutor(Pool(1, there, execution))
