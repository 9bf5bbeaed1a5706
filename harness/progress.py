"""Live progress on standard error: which cell, which seed, loss, time left. Silent with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .cells import TUNING, Run, short

PLAIN_SECONDS = 10.0
"""Where standard error is no terminal, a line for each finished run and at least so often in between."""


class Progress:
    """Shows runs as they go; `step` and `finished` are called by the study.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False):
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()
        self._bars: Any = None
        self._current: dict[str, tuple[int, int, float]] = {}
        self._rows: dict[str, Any] = {}
        self._runs: dict[str, Run] = {}
        self._started = self._said = time.monotonic()
        self._done_steps = 0
        self._steps: dict[str, int] = {}
        self._finished = 0

    @contextmanager
    def runs(self, runs: Sequence[Run], *, in_store: int = 0) -> Iterator[None]:
        """Show progress while `runs` are done."""
        self._runs = {run.key: run for run in runs}
        self._steps = {}
        self._finished = 0
        self._current.clear()
        self._started = self._said = time.monotonic()
        if self.quiet:
            yield
            return
        kind = "tuning runs" if runs[0].purpose == TUNING else "runs"
        stored = f", {in_store} more from the store" if in_store else ""
        print(f"{len(runs)} {kind} to do{stored}", file=sys.stderr)
        if not self.live:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        console = Console(stderr=True)
        with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as self._bars:
            self._total = self._bars.add_task(f"all {kind}", total=len(runs))
            yield
        self._bars = None
        self._rows.clear()

    def step(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        """Called while a run goes on."""
        self._current[run.key] = (step, steps, loss)
        if self.live and self._bars is not None:
            if run.key not in self._rows:
                self._rows[run.key] = self._bars.add_task(_name(run), total=steps)
            label = f"  {_name(run)} loss {loss:.3f}" + (f" val {accuracy:.2f}" if accuracy is not None else "")
            self._bars.update(self._rows[run.key], completed=step, description=label)
            self._bars.update(self._total, completed=self._finished + self._partial)
        elif not self.quiet and time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            print(f"  {_name(run)} step {step}/{steps} loss {loss:.3f}{self._left}", file=sys.stderr)

    def finished(self, record: dict[str, Any]) -> None:
        """Called with each finished record."""
        run = self._runs[record["key"]]
        self._finished += 1
        self._current.pop(run.key, None)
        row = self._rows.pop(run.key, None)
        if self.live and self._bars is not None:
            if row is not None:
                self._bars.remove_task(row)
            self._bars.update(self._total, completed=self._finished)
        elif not self.quiet:
            self._said = time.monotonic()
            accuracy = record.get("test_accuracy")
            what = (
                f"test accuracy {accuracy:.3f}" if accuracy is not None else f"{record['status']}: {record['reason']}"
            )
            place = f"[{self._finished}/{len(self._runs)}]"
            print(f"{place} {_name(run)}: {what}, {record['run_seconds']:.0f} s{self._left}", file=sys.stderr)
        if not self.quiet and record["status"] in ("failed", "out-of-memory") and self.live:
            print(f"{_name(run)}: {record['status']}: {record['reason']}", file=sys.stderr)

    @property
    def _partial(self) -> float:
        return sum(step / steps for step, steps, _ in self._current.values())

    @property
    def _left(self) -> str:
        done = self._finished + self._partial
        if done < 0.5 or self._finished == len(self._runs):
            return ""
        seconds = (time.monotonic() - self._started) / done * (len(self._runs) - done)
        return f", about {seconds / 60:.1f} min left" if seconds >= 60 else f", about {seconds:.0f} s left"

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Show the timing session."""
        self._status: Any = None
        if self.live:
            from rich.console import Console

            with Console(stderr=True).status("timing") as self._status:
                yield
            self._status = None
        else:
            if not self.quiet:
                print("timing the cells, interleaved", file=sys.stderr)
            yield

    def note(self, text: str) -> None:
        """Say what the timing session is at."""
        if self.live and self._status is not None:
            self._status.update(text)


def _name(run: Run) -> str:
    scan, architecture, task = (
        short("scan", run.cell.scan),
        short("architecture", run.cell.architecture),
        short("task", run.cell.task),
    )
    return f"{task} {architecture} {scan} seed {run.seed}"
