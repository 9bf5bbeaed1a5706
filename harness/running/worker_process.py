"""The driver's end of a worker process: started, given work, watched, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from harness.registry.cells import Run

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc gives large temporaries back to the system by default, and every new one then pays page faults.
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
}


class Worker:
    """One worker process and the pipe to it."""

    def __init__(self, plugins: Sequence[str]):
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **WORKER_ENVIRONMENT, "HARNESS_WORKER_PIPE": str(theirs.fileno())}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.running.worker"],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what a plug-in prints must not mix with the table on standard output
        )
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.pipe.send((sys.path, tuple(plugins)))
        self.is_ready = False  # it has loaded what runs need, and their clock goes
        self.is_fresh = True  # it has done no runs yet
        self.runs: Sequence[Run] = ()
        self._began = time.monotonic()

    def start(self, kind: str, work: Any) -> None:
        with contextlib.suppress(OSError):  # where it died already, the pipe's end says so when it is read
            self.pipe.send((kind, work))
        self.restart_clock()

    def restart_clock(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been at its work."""
        return time.monotonic() - self._began

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

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
