"""Executors: where runs are done. Each takes runs and yields what happens, record by record.

The driver alone writes the store; an executor only brings records back. A worker that dies, or a run that goes over a
limit, costs its own run only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from harness.contracts.errors import UserError
from harness.contracts.outcome import Status
from harness.registry.cells import Run
from harness.registry.study import OnProgress
from harness.store.record import Record, lost_record

from .execution import Execution
from .resources import peak_resident_bytes
from .worker_process import Worker, in_worker

Event = tuple[str, Any]
"""("progress", what an OnProgress is told), ("result", records), or ("lost", (runs, status, reason, seconds))."""

PLAIN = Execution()
LOOK_SECONDS = 0.2
"""How often workers are held to their limits."""


class Executor(Protocol):
    """Does runs, in any order, and yields their records as they finish."""

    def map(self, runs: Sequence[Run], watch: OnProgress) -> Iterator[Record]:
        """Yield a record for every run."""
        ...

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        """Rows of a timing session; `work` is what `measure.timing_session` takes.

        Raises:
            RuntimeError: it broke off; the message says how.
        """
        ...


def groups_of(runs: Sequence[Run], size: int) -> list[list[Run]]:
    """The runs in groups of at most `size` that differ in their seed only, in the order in which each group begins."""
    alike: dict[Run, list[Run]] = {}
    for run in runs:
        alike.setdefault(replace(run, seed=0), []).append(run)
    return [group[start : start + size] for group in alike.values() for start in range(0, len(group), size)]


def execute_group(runs: Sequence[Run], execution: Execution, watch: OnProgress) -> Iterator[Record]:
    """Do the runs of one group in this process."""
    from harness.training.execute import execute

    if execution.replicas == 1 and not execution.cuda_graphs:
        for run in runs:
            yield execute(run, lambda *values, run=run: watch(run, *values))
        return
    from harness.training.execute_together import execute_together

    yield from execute_together(runs, watch, cuda_graphs=execution.cuda_graphs)


def records_of(events: Iterable[Event], watch: OnProgress) -> Iterator[Record]:
    """The records among the events, made here of runs that were lost; progress is for `watch`."""
    for kind, message in events:
        if kind == "progress":
            watch(*message)
        else:
            yield from message if kind == "result" else _lost_records(*message)


def _lost_records(runs: Sequence[Run], status: str, reason: str, seconds: float) -> Iterator[Record]:
    return (lost_record(run, reason, status=status, seconds=seconds / len(runs)) for run in runs)


class InProcess:
    """One group of runs after another in this process."""

    def __init__(self, execution: Execution = PLAIN):
        self.execution = execution

    def map(self, runs: Sequence[Run], watch: OnProgress) -> Iterator[Record]:
        for group in groups_of(runs, self.execution.replicas):
            yield from execute_group(group, self.execution, watch)

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        from harness.timing.measure import timing_session

        return timing_session(**work, watch=watch)


class Pool:
    """A pool of local worker processes, one thread each.

    Args:
        workers: how many at most. plugins: modules that every worker imports first. execution: which runs go together,
            and what one may take.

    Raises:
        UserError: it cannot be had here.
    """

    def __init__(self, workers: int, plugins: Sequence[str] = (), execution: Execution = PLAIN):
        if os.name != "posix":
            raise UserError("the worker pool needs a POSIX system; use --workers 0 to run in this process")
        if execution.memory_limit is not None and not peak_resident_bytes("self"):
            raise UserError("a memory limit needs Linux, which tells what a process takes; leave it away")
        self.workers, self.plugins, self.execution = workers, tuple(plugins), execution

    def map(self, runs: Sequence[Run], watch: OnProgress) -> Iterator[Record]:
        """Yield records as runs finish; a run whose worker died is recorded as failed, and a new worker starts."""
        spare: list[Worker] = []
        try:
            yield from records_of(self.serve(groups_of(runs, self.execution.replicas), spare), watch)
        finally:
            for worker in spare:
                worker.stop()

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        return in_worker("time", work, plugins=self.plugins, watch=watch)

    def serve(self, groups: Iterable[Sequence[Run]], spare: list[Worker]) -> Iterator[Event]:
        """Do groups of runs and tell what happens; `spare` has idle workers, before and afterwards."""
        waiting = deque(groups)
        busy: dict[Connection, Worker] = {}
        look = LOOK_SECONDS if self.execution.has_limits else None
        try:
            while waiting or busy:
                self._fill(busy, waiting, spare)
                for pipe in wait(list(busy), look):
                    worker = busy[pipe]  # type: ignore[index]
                    try:
                        kind, message = worker.pipe.recv()
                    except (EOFError, OSError):
                        del busy[worker.pipe]
                        yield "lost", (worker.runs, Status.FAILED, worker.epitaph(), worker.seconds)
                        continue
                    if kind == "ready":
                        worker.is_ready = True
                        worker.restart_clock()
                    elif kind == "progress":
                        yield kind, message
                    elif not self.execution.over_memory(worker.process.pid):
                        del busy[worker.pipe]
                        worker.is_fresh, worker.is_ready = False, True
                        spare.append(worker)
                        self._fill(busy, waiting, spare)
                        yield kind, message
                yield from self._stop_what_is_over(busy)
        finally:
            for worker in busy.values():
                worker.stop()

    def _stop_what_is_over(self, busy: dict[Connection, Worker]) -> Iterator[Event]:
        """Stop the workers whose runs took too much. What earlier runs left in a process is not held against a run: it
        is done again in a fresh one.
        """
        for worker in list(busy.values()):
            memory = self.execution.over_memory(worker.process.pid)
            if not memory and not (worker.is_ready and self.execution.over_time(worker.seconds, runs=len(worker.runs))):
                continue
            del busy[worker.pipe]
            worker.stop()
            if not memory:
                reason = f"went over its time limit of {self.execution.time_limit:g} s and was stopped"
                yield "lost", (worker.runs, Status.FAILED, reason, worker.seconds)
            elif worker.is_fresh:
                reason = f"went over its memory limit of {self.execution.memory_limit:g} GiB and was stopped"
                yield "lost", (worker.runs, Status.OUT_OF_MEMORY, reason, worker.seconds)
            else:
                self._start(self._new_worker(), worker.runs, busy)

    def _fill(self, busy: dict[Connection, Worker], waiting: deque[Sequence[Run]], spare: list[Worker]) -> None:
        while waiting and len(busy) < self.workers:
            alive = [worker for worker in spare if worker.is_alive]
            worker = alive[0] if alive else self._new_worker()
            spare[:] = alive[1:]
            self._start(worker, waiting.popleft(), busy)

    def _start(self, worker: Worker, runs: Sequence[Run], busy: dict[Connection, Worker]) -> None:
        worker.runs = runs
        worker.start("runs", (runs, self.execution))
        busy[worker.pipe] = worker

    def _new_worker(self) -> Worker:
        worker = Worker(self.plugins)
        if self.execution.time_limit is not None:
            worker.start("ready", None)
        return worker
