"""A study: cells and seeds, what the store has of them already, the rest done and written as it finishes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cells import TUNING, UNTUNED, Cell, Run, protocol_of
from .executors import Executor, InProcess, Pool, Training
from .noise import noise_floor, to_repeat
from .progress import Progress
from .provenance import is_stale, provenance, source_of
from .record import Record
from .sinks import Sinks
from .store import FINISHED, Store

TUNING_SEEDS = (1_000_000, 1_000_001)
"""Seeds of the tuning runs; no final run may use them."""


WORST_SCORE = -1e6


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is asked for: cells, seeds, where and how they run, and whether each cell's learning rate is tuned first.

    rates: the learning rates that tuning tries, for every cell; multiples of each protocol's own where there are none.
    """

    cells: Sequence[Cell]
    seeds: Sequence[int]
    device: str = "cpu"
    dtype: str = "float32"
    tune: bool = False
    tuning_seeds: Sequence[int] = TUNING_SEEDS
    rates: Sequence[float] = ()
    training: Training = Training()


@dataclass(kw_only=True)
class Outcome:
    """What a study came to: its final runs' records, timing rows, and what was found in the store."""

    records: list[Record] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    from_store: int = 0
    stale: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records if record["status"] in ("failed", "out-of-memory")]


def run_study(
    study: Study,
    store: Store,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    plugins: Sequence[str] = (),
    fresh: bool = False,
    timing: bool = True,
    progress: Progress,
    check: Callable[[Cell], None] | None = None,
    sinks: Sinks | None = None,
) -> Outcome:
    """Do what the store does not have yet, write each record as it finishes, then time the cells.

    Args:
        executor: where the runs are done; unless given, `workers` processes here with `plugins`, and with 0 this one.
        fresh: run again what the store has, and replace it.
        check: called once a cell before anything starts, to say early what the user got wrong.
        sinks: hear of runs as they go and end, tuning runs too.
    """
    if executor is None:
        executor = Pool(workers, plugins, study.training) if workers else InProcess(study.training)
    outcome = Outcome()
    cells = list(study.cells)

    def do(runs: Sequence[Run]) -> dict[str, Record]:
        return _do(runs, store, executor, progress, fresh=fresh, outcome=outcome, check=check, sinks=sinks or Sinks())

    if study.tune:
        cells = best_cells(study, do(tuning_runs(study)))
    final = final_runs(study, cells)
    outcome.from_store = 0  # counts final runs; a stale tuning run, which may have chosen a rate, stays reported
    found = do(final)
    _measure_noise(final, found, store, executor, progress)
    outcome.records = [found[run.key] for run in final]
    if timing:
        timed = [cell for cell in cells if protocol_of(cell).timed]
        ran = [cell for cell in timed if any(r["cell"] == cell.key and r["status"] == "done" for r in outcome.records)]
        outcome.timings = _time(ran, study.device, study.dtype, store, executor, progress, fresh=fresh)
    return outcome


def _measure_noise(
    runs: Sequence[Run], records: dict[str, Record], store: Store, executor: Executor, progress: Progress
) -> None:
    """Do one run a cell again where a device does not give the same bits twice, and write the difference down."""
    again = to_repeat(runs, records)
    if not again:
        return
    with progress.runs(again):
        for record in executor.map(again, progress.step):
            progress.finished(record)
            first = records[record["key"]]
            first["noise_floor"] = noise_floor(first, record)
            store.write(first)


def tuning_runs(study: Study) -> list[Run]:
    """Every rate of every cell on the tuning seeds."""
    rates = tuning_rates(study)
    return [
        Run(cell=cell.with_learning_rate(rate), seed=seed, device=study.device, dtype=study.dtype, purpose=TUNING)
        for cell in study.cells
        for rate in rates[cell]
        for seed in study.tuning_seeds
    ]


def best_cells(study: Study, records: dict[str, Record]) -> list[Cell]:
    """The study's cells, each at its best rate, once all tuning runs have a record."""
    rates, trials = tuning_rates(study), tuning_runs(study)
    return [best_rate(cell, rates[cell], trials, records) for cell in study.cells]


def final_runs(study: Study, cells: Sequence[Cell]) -> list[Run]:
    """Every seed of the study's cells, at the rates that `cells` have.

    Which rates were tried is part of what a final run is: it stands in its key and beside its score.
    """
    rates = tuning_rates(study) if study.tune else {}
    tried = [" ".join(f"{rate:g}" for rate in rates.get(cell, ())) for cell in study.cells]
    tuned_on = f"{len(study.tuning_seeds)} tuning seed{'s' * (len(study.tuning_seeds) > 1)}"
    return [
        Run(
            cell=cell,
            seed=seed,
            device=study.device,
            dtype=study.dtype,
            selection=f"best of {grid} on {tuned_on}" if study.tune else UNTUNED,
        )
        for cell, grid in zip(cells, tried, strict=True)
        for seed in study.seeds
    ]


def _do(
    runs: Sequence[Run],
    store: Store,
    executor: Executor,
    progress: Progress,
    *,
    fresh: bool,
    outcome: Outcome,
    check: Callable[[Cell], None] | None,
    sinks: Sinks,
) -> dict[str, Record]:
    found = {} if fresh else store.find_many(run.key for run in runs)
    found = {key: record for key, record in found.items() if record["status"] in FINISHED}
    # A record of other source under the same key is shown as stale, never passed off as today's.
    outcome.stale += [run.key for run in runs if run.key in found and is_stale(found[run.key])]
    outcome.from_store += len(found)
    missing = [run for run in dict.fromkeys(runs) if run.key not in found]
    if not missing:
        return found
    if check is not None:
        for cell in dict.fromkeys(run.cell for run in missing):
            check(cell)

    def watch(run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        progress.step(run, step, steps, loss, accuracy)
        sinks.on_progress(run, step, steps, loss, accuracy)

    with progress.runs(missing, in_store=len(found)):
        for record in executor.map(missing, watch):
            store.write(record)
            found[record["key"]] = record
            progress.finished(record)
            sinks.on_record(record)
    return found


def tuning_rates(study: Study) -> dict[Cell, list[float]]:
    """The learning rates that each cell tries: the study's, or multiples of its protocol's, the same for cells of one
    protocol.
    """
    if study.rates:
        return {cell: list(study.rates) for cell in study.cells}
    rates = {}
    for cell in study.cells:
        protocol = protocol_of(cell)
        rates[cell] = [float(f"{protocol.learning_rate * factor:.3g}") for factor in protocol.tuning_factors]
    return rates


def best_rate(cell: Cell, rates: Sequence[float], trials: Sequence[Run], records: dict[str, Record]) -> Cell:
    """The cell at the rate with the best mean validation score on the tuning seeds; the smaller rate on a tie.

    The score is validation accuracy, or what the protocol's record names `validation_score`; a trial that did not
    finish has the worst.
    """

    def of(record: Record) -> float:
        score = record.get("validation_score", record.get("validation_accuracy"))
        return WORST_SCORE if score is None else score

    def score(rate: float) -> float:
        at_rate = cell.with_learning_rate(rate)
        scores = [of(records[run.key]) for run in trials if run.cell == at_rate]
        return sum(scores) / len(scores)

    return cell.with_learning_rate(max(sorted(rates), key=score))


def _time(
    cells: Sequence[Cell],
    device: str,
    dtype: str,
    store: Store,
    executor: Executor,
    progress: Progress,
    *,
    fresh: bool,
) -> list[dict[str, Any]]:
    """Rows of one session that holds all the cells: from the store where there is one, timed now otherwise."""
    wanted = {cell.key: source_of(cell) for cell in cells}
    if not wanted:
        return []
    if not fresh:
        sessions: dict[str, dict[str, dict[str, Any]]] = {}
        here = provenance(device)
        for row in store.timings():
            same_place = all(row[name] == here[name] for name in ("machine", "torch_version"))
            if (
                row["device"] == device
                and row["dtype"] == dtype
                and same_place
                and wanted.get(row["cell"]) == row["source"]
            ):
                sessions.setdefault(row["session"], {})[row["cell"]] = row
        whole = [rows for rows in sessions.values() if len(rows) == len(wanted)]
        if whole:
            return list(whole[-1].values())
    work = {"cells": list(cells), "device": device, "dtype": dtype}
    try:
        with progress.timing():
            rows = executor.time(work, progress.note)
    except RuntimeError as error:
        # Accuracies are safe in the store by now; a timing session that broke must not hide them.
        print(f"warning: the timing session failed, so there are no speeds: {error}", file=sys.stderr)
        return []
    store.write_timings(rows)
    return rows
