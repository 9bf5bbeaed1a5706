"""Executors: where runs are done. Each takes runs and yields what happens, record by record.

The driver alone writes the store; an executor only brings records back. A worker that dies, or a run that goes over a
limit, costs its own run only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from .cells import Run
from .errors import UserError
from .limits import NO_LIMITS, Limits, peak_resident_bytes
from .record import Record, lost_record
from .worker_process import Worker, in_worker

Watch = Callable[[Run, int, int, float, float | None], None]
"""(run, step, steps, training loss, last validation accuracy)."""

Event = tuple[str, Any]
"""("progress", what a Watch is told), ("result", records), or ("lost", the arguments of lost_records)."""

LOOK_SECONDS = 0.2
"""How often workers are held to their limits."""


class Executor(Protocol):
    """Does runs, in any order, and yields their records as they finish."""

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        """Yield a record for every run."""
        ...

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        """Rows of a timing session; `work` is what `measure.timing_session` takes.

        Raises:
            RuntimeError: it broke off; the message says how.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a device is filled: seeds of a cell trained together, and whether their step is replayed as a CUDA graph."""

    replicas: int = 1
    cuda_graphs: bool = False

    @property
    def is_plain(self) -> bool:
        return self == Training()


PLAIN = Training()


def groups_of(runs: Sequence[Run], size: int) -> list[list[Run]]:
    """The runs in groups of at most `size` that differ in their seed only, in the order in which each group begins."""
    alike: dict[Run, list[Run]] = {}
    for run in runs:
        alike.setdefault(replace(run, seed=0), []).append(run)
    return [group[start : start + size] for group in alike.values() for start in range(0, len(group), size)]


def execute_group(runs: Sequence[Run], training: Training, watch: Watch) -> Iterator[Record]:
    """Do the runs of one group in this process."""
    from .execute import execute

    if training.is_plain:
        for run in runs:
            yield execute(run, lambda *values, run=run: watch(run, *values))
        return
    from .execute_together import execute_together

    yield from execute_together(runs, watch, cuda_graphs=training.cuda_graphs)


def records_of(events: Iterable[Event], watch: Watch) -> Iterator[Record]:
    """The records among the events, made here of runs that were lost; progress is for `watch`."""
    for kind, message in events:
        if kind == "progress":
            watch(*message)
        else:
            yield from message if kind == "result" else lost_records(*message)


def lost_records(runs: Sequence[Run], status: str, reason: str, seconds: float) -> Iterator[Record]:
    """Records of runs that one worker had, and that came to nothing after so many seconds."""
    return (lost_record(run, reason, status=status, seconds=seconds / len(runs)) for run in runs)


class InProcess:
    """One group of runs after another in this process."""

    def __init__(self, training: Training = PLAIN):
        self.training = training

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        for group in groups_of(runs, self.training.replicas):
            yield from execute_group(group, self.training, watch)

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        from .measure import timing_session

        return timing_session(**work, watch=watch)


class Pool:
    """A pool of local worker processes, one thread each.

    Args:
        workers: how many at most. plugins: modules that every worker imports first. training: which runs go together.
        limits: what a run may take.
    """

    def __init__(
        self, workers: int, plugins: Sequence[str] = (), training: Training = PLAIN, limits: Limits = NO_LIMITS
    ):
        if os.name != "posix":
            raise UserError("the worker pool needs a POSIX system; use --workers 0 to run in this process")
        if limits.memory_limit is not None and not peak_resident_bytes("self"):
            raise UserError("a memory limit needs Linux, which tells what a process takes; leave it away")
        self.workers = workers
        self.plugins = tuple(plugins)
        self.training = training
        self.limits = limits

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        """Yield records as runs finish; a run whose worker died is recorded as failed, and a new worker starts."""
        spare: list[Worker] = []
        try:
            yield from records_of(self.serve(groups_of(runs, self.training.replicas), spare), watch)
        finally:
            for worker in spare:
                worker.stop()

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        return in_worker("time", work, plugins=self.plugins, watch=watch)

    def serve(self, groups: Iterable[Sequence[Run]], spare: list[Worker]) -> Iterator[Event]:
        """Do groups of runs and tell what happens; `spare` has idle workers, before and afterwards."""
        waiting = deque(groups)
        busy: dict[Connection, Worker] = {}
        look = None if self.limits == NO_LIMITS else LOOK_SECONDS
        try:
            while waiting or busy:
                self._fill(busy, waiting, spare)
                for pipe in wait(list(busy), look):
                    worker = busy[pipe]  # type: ignore[index]
                    try:
                        kind, message = worker.pipe.recv()
                    except (EOFError, OSError):
                        del busy[worker.pipe]
                        yield "lost", (worker.runs, "failed", worker.epitaph(), worker.seconds)
                        continue
                    if kind == "ready":
                        worker.is_ready = True
                        worker.restart_clock()
                    elif kind == "progress":
                        yield kind, message
                    elif not self.limits.over_memory(worker.process.pid):
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
            memory = self.limits.over_memory(worker.process.pid)
            if not memory and not (worker.is_ready and self.limits.over_time(worker.seconds, runs=len(worker.runs))):
                continue
            del busy[worker.pipe]
            worker.stop()
            if not memory:
                reason = f"went over its time limit of {self.limits.time_limit:g} s and was stopped"
                yield "lost", (worker.runs, "failed", reason, worker.seconds)
            elif worker.is_fresh:
                reason = f"went over its memory limit of {self.limits.memory_limit:g} GiB and was stopped"
                yield "lost", (worker.runs, "out-of-memory", reason, worker.seconds)
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
        worker.start("runs", (runs, self.training))
        busy[worker.pipe] = worker

    def _new_worker(self) -> Worker:
        worker = Worker(self.plugins)
        if self.limits.time_limit is not None:
            worker.start("ready", None)
        return worker
