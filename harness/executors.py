"""Executors: where runs are done. Each takes runs and yields what happens, record by record.

The driver alone writes the store; an executor only brings records back. A worker that dies costs its own run only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from .cells import Run
from .errors import UserError
from .record import Record, lost_record

Watch = Callable[[Run, int, int, float, float | None], None]
"""(run, step, steps, training loss, last validation accuracy)."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc gives large temporaries back to the system by default, and every new one then pays page faults.
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
}


class Executor(Protocol):
    """Does runs, in any order, and yields their records as they finish."""

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        """Yield a record for every run."""
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


class InProcess:
    """One group of runs after another in this process."""

    def __init__(self, training: Training = PLAIN):
        self.training = training

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        for group in groups_of(runs, self.training.replicas):
            yield from execute_group(group, self.training, watch)


class Worker:
    """One worker process and the pipe to it."""

    def __init__(self, plugins: Sequence[str]):
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **WORKER_ENVIRONMENT, "HARNESS_WORKER_PIPE": str(theirs.fileno())}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.worker"],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what a plug-in prints must not mix with the table on standard output
        )
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.pipe.send((sys.path, tuple(plugins)))
        self.runs: Sequence[Run] = ()

    def start(self, kind: str, work: Any) -> None:
        self.pipe.send((kind, work))

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def epitaph(self) -> str:
        """Why the process ended."""
        self.process.wait()
        code = self.process.returncode
        if code >= 0:
            return f"the worker process ended with exit code {code}"
        advice = "; out of memory, perhaps: try fewer --workers" if code == -signal.SIGKILL else ""
        return f"the worker process was ended by {signal.Signals(-code).name}{advice}"


class Pool:
    """A pool of local worker processes, one thread each.

    Args:
        workers: how many at most. plugins: modules that every worker imports first. training: which runs go together.
    """

    def __init__(self, workers: int, plugins: Sequence[str] = (), training: Training = PLAIN):
        if os.name != "posix":
            raise UserError("the worker pool needs a POSIX system; use --workers 0 to run in this process")
        self.workers = workers
        self.plugins = plugins
        self.training = training

    def map(self, runs: Sequence[Run], watch: Watch) -> Iterator[Record]:
        """Yield records as runs finish; a run whose worker died is recorded as failed, and a new worker starts."""
        waiting = deque(groups_of(runs, self.training.replicas))
        busy: dict[Connection, Worker] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    worker = Worker(self.plugins)
                    self._give(worker, waiting, busy)
                for pipe in wait(list(busy)):
                    worker = busy.pop(pipe)  # type: ignore[arg-type]
                    try:
                        kind, message = worker.pipe.recv()
                    except (EOFError, OSError):
                        reason = worker.epitaph()
                        yield from (lost_record(run, reason) for run in worker.runs)
                        continue
                    if kind == "progress":
                        busy[worker.pipe] = worker
                        watch(*message)
                        continue
                    if waiting:
                        self._give(worker, waiting, busy)
                    else:
                        worker.stop()
                    yield from message
        finally:
            for worker in busy.values():
                worker.stop()

    def _give(self, worker: Worker, waiting: deque[list[Run]], busy: dict[Connection, Worker]) -> None:
        worker.runs = waiting.popleft()
        busy[worker.pipe] = worker
        with contextlib.suppress(OSError):  # where it died already, the pipe's end says so when it is read
            worker.start("runs", (worker.runs, self.training))


def in_worker(kind: str, work: Any, *, plugins: Sequence[str], watch: Callable[[str], None]) -> Any:
    """Do one piece of work in a fresh worker, alone, and return its result.

    Raises:
        RuntimeError: the worker died; the message says how.
    """
    worker = Worker(plugins)
    try:
        worker.start(kind, work)
        while True:
            try:
                answer, message = worker.pipe.recv()
            except (EOFError, OSError):
                raise RuntimeError(worker.epitaph()) from None
            if answer == "result":
                return message
            watch(message)
    finally:
        worker.stop()
