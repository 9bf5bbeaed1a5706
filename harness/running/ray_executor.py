"""The Ray executor: runs on a cluster's nodes, each in a worker process as the local pool has it.

A Ray task only supervises the worker process beside it, so that environment, limits and records are the pool's. Its
answers stream to the driver; runs that were with a worker or a node that is lost go to another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.contracts.errors import UserError
from harness.contracts.outcome import Status
from harness.registry.cells import Run
from harness.registry.study import OnProgress
from harness.store.record import Record

from .executors import Event, Pool, groups_of, records_of
from .worker_process import Worker, in_worker

MOST_LOSSES = 3
"""How often the same runs may be lost before they are recorded as failed."""

MOST_TASKS = 1000
"""Tasks that Ray holds at once; the rest waits in the driver."""

PROGRESS_SECONDS = 2.0
QUIET_SECONDS = 10.0
CONNECT_SECONDS = 10.0


class RayExecutor:
    """Runs on the nodes of a Ray cluster, each of which has the harness and, under the same path, its plug-ins.

    Args:
        pool: what a node does with a group of runs; its execution says where the cluster is, what a group takes of its
            node, and how many go on at once.

    Raises:
        UserError: no Ray, no cluster, or none that has room for a run.
    """

    def __init__(self, pool: Pool):
        asked = pool.execution
        self.pool = pool
        self.ray = connect(asked.address)
        self.cpus, self.gpus = asked.cpus, asked.gpus
        self._share = f"{asked.cpus:g} CPUs and {asked.gpus:g} GPUs"
        self.at_once = min(asked.workers or MOST_TASKS, MOST_TASKS)
        if asked.address == "local" and not self._has_room():
            raise UserError(f"a run asks for {self._share}, this machine has less; ask for less, or give an --address")
        self._warned = False

    def map(self, runs: Sequence[Run], watch: OnProgress) -> Iterator[Record]:
        """Yield records as runs finish; one whose worker or node was lost is done again, a few times."""
        # Ray says what happened to a worker on standard output, where only tables belong.
        with contextlib.redirect_stdout(sys.stderr):
            yield from records_of(self._serve(groups_of(runs, self.pool.execution.replicas)), watch)

    def time(self, work: dict[str, Any], watch: Callable[[str], None]) -> list[dict[str, Any]]:
        # Progress of a timing session stays on its node.
        task = self._remote(in_worker).remote("time", work, plugins=self.pool.plugins, watch=lambda _: None)
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            raise RuntimeError(_first_line(error)) from error

    def _serve(self, groups: Sequence[Sequence[Run]]) -> Iterator[Event]:
        supervise_there = self._remote(supervise, num_returns="streaming")
        waiting, running, losses = deque(groups), {}, Counter()
        try:
            while waiting or running:
                while waiting and len(running) < self.at_once:
                    group = waiting.popleft()
                    running[supervise_there.remote(group, self.pool)] = group, time.monotonic()
                if not self.ray.wait(list(running), num_returns=1, timeout=QUIET_SECONDS)[0]:
                    self._warn_without_room()
                ready, _ = self.ray.wait(list(running), num_returns=len(running), timeout=0)
                for stream in ready:
                    try:
                        kind, message = self.ray.get(next(stream))
                    except (self.ray.exceptions.RayError, StopIteration) as error:
                        group, started = running.pop(stream)
                        losses[group[0]] += 1
                        if losses[group[0]] < MOST_LOSSES:
                            waiting.appendleft(group)
                            continue
                        reason = f"its Ray worker or node was lost {MOST_LOSSES} times; the last: {_first_line(error)}"
                        yield "lost", (group, Status.FAILED, reason, time.monotonic() - started)
                        continue
                    if kind != "progress":
                        del running[stream]
                    yield kind, message
        finally:
            for stream in running:
                self.ray.cancel(stream, force=True)

    def _remote(self, function: Callable[..., Any], **options: Any) -> Any:
        # Losses are counted here; a task that uses a GPU would otherwise end its process, and torch load again.
        return self.ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0, max_calls=0, **options)(function)

    def _has_room(self) -> bool:
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return any(node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= self.gpus for node in nodes)

    def _warn_without_room(self) -> None:
        """A cluster that grows by itself may come to have room; say what is waited for."""
        if not self._warned and not self._has_room():
            self._warned = True
            print(f"warning: no node of the cluster has {self._share}; waiting for one that does", file=sys.stderr)


def connect(address: str) -> Any:
    """Ray, connected to a cluster: the one of this process where there is one.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            "the executor 'ray' needs the package ray, which is not installed: pip install 'scan-order-harness[ray]'"
        ) from error
    if not ray.is_initialized():
        dashboard = False if address == "local" else None  # another's cluster has what it has
        try:
            host, _, port = address.rpartition(":")
            if port.isdigit():  # where nobody listens Ray would wait for minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
        except Exception as error:  # a node that does not start is no more than that to Ray
            local = "its logs are in /tmp/ray/session_latest/logs"
            cure = local if address == "local" else "start one with: ray start --head, or take the address local"
            raise UserError(f"Ray cannot be used at address {address!r}: {_first_line(error)}; {cure}") from error
    return ray


_spare: dict[object, list[Worker]] = {}
"""In a Ray worker: idle worker processes, by what they were started with; they end with it, as their pipes close."""


def supervise(runs: Sequence[Run], pool: Pool) -> Iterator[Event]:
    """In a Ray worker: do one group of runs in a worker process beside it."""
    setting = pool.plugins, os.environ.get("CUDA_VISIBLE_DEVICES")  # the GPU may be another than the last task's
    for other in [each for each in _spare if each != setting]:
        for worker in _spare.pop(other):
            worker.stop()
    said = 0.0
    for kind, message in pool.serve([runs], _spare.setdefault(setting, [])):
        if kind == "progress" and time.monotonic() - said < PROGRESS_SECONDS:
            continue
        said = time.monotonic()
        yield kind, message


def _first_line(error: BaseException) -> str:
    error = getattr(error, "cause", None) or error  # what a task raised comes wrapped in a traceback
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
