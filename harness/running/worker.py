"""A worker process: takes runs or timing sessions over a pipe and reports what comes of them.

It is started as `python -m harness.running.worker`, not by multiprocessing, so that it does not re-import the caller's
script, and so that allocator and thread settings reach it before Python starts.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection

from harness.registry import load_plugin
from harness.registry.cells import Run
from harness.store.record import Record

from .execution import Execution
from .executors import execute_group

REPORT_SECONDS = 0.2


def main() -> None:
    """Serve until the driver hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    driver = Connection(int(os.environ.pop("HARNESS_WORKER_PIPE")))
    sys.path[:], plugins = driver.recv()
    for plugin in plugins:
        load_plugin(plugin)
    while True:
        kind, work = driver.recv()
        if kind == "ready":
            import_module("harness.training.execute")  # seconds that are no run's
            import_module("torch._dynamo")  # or the first optimizer does it

            driver.send((kind, None))
        elif kind == "runs":
            runs, execution = work
            driver.send(("result", _run(runs, execution, driver)))
        else:
            module, name = ("speed", "speed_session") if kind == "speed" else ("measure", "timing_session")
            session = getattr(import_module(f"harness.timing.{module}"), name)
            driver.send(("result", session(**work, watch=lambda text: driver.send(("progress", text)))))


def _run(runs: Sequence[Run], execution: Execution, driver: Connection) -> list[Record]:
    said: dict[Run, float] = {}

    def report(run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        now = time.monotonic()
        if now - said.get(run, 0.0) >= REPORT_SECONDS or step == steps:
            said[run] = now
            driver.send(("progress", (run, step, steps, loss, accuracy)))

    return list(execute_group(runs, execution, report))


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(0)  # the driver hung up
