"""Live progress on standard error: which cell, which seed, loss, time left. Silent with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.contracts.outcome import BROKEN
from harness.registry.cells import TUNING, Run, display_spec
from harness.store.record import Record

PLAIN_SECONDS = 10.0
"""Where standard error is no terminal, a line for each finished run and at least so often in between."""


class Progress:
    """Shows runs as they go; `step` and `finished` are called by the runner.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False):
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()
        self._bars: Any = None  # rich's, while runs are shown on a terminal
        self._status: Any = None  # rich's, while cells are timed
        self._begin([])

    def _begin(self, runs: Sequence[Run]) -> None:
        self._runs = {run.key: run for run in runs}
        self._rows: dict[str, Any] = {}
        self._shares: dict[str, float] = {}  # how much of each run that goes on is done
        self._finished = 0
        self._started = self._said = time.monotonic()

    @contextmanager
    def runs(self, runs: Sequence[Run], *, in_store: int = 0) -> Iterator[None]:
        """Show progress while `runs` are done."""
        self._begin(runs)
        if self.quiet or not runs:
            yield
            return
        kind = "tuning runs" if runs[0].purpose == TUNING else "runs"
        self._say(f"{len(runs)} {kind} to do" + (f", {in_store} more from the store" if in_store else ""))
        if not self.live:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as self._bars:
            self._total = self._bars.add_task(f"all {kind}", total=len(runs))
            yield
        self._bars = None

    def step(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        """Called while a run goes on."""
        self._shares[run.key] = step / steps
        if self._bars is not None:
            if run.key not in self._rows:
                self._rows[run.key] = self._bars.add_task(_name(run), total=steps)
            label = f"  {_name(run)} loss {loss:.3f}" + (f" val {accuracy:.2f}" if accuracy is not None else "")
            self._bars.update(self._rows[run.key], completed=step, description=label)
            self._bars.update(self._total, completed=self._done)
        elif not self.quiet and time.monotonic() - self._said > PLAIN_SECONDS:
            self._say(f"  {_name(run)} step {step}/{steps} loss {loss:.3f}{self._left}")

    def finished(self, record: Record) -> None:
        """Called with each finished record."""
        run = self._runs[record["key"]]
        self._finished += 1
        self._shares.pop(run.key, None)
        accuracy = record.get("test_accuracy")
        came_to = f"test accuracy {accuracy:.3f}" if accuracy is not None else f"{record['status']}: {record['reason']}"
        if self._bars is not None:
            if run.key in self._rows:
                self._bars.remove_task(self._rows.pop(run.key))
            self._bars.update(self._total, completed=self._done)
            if record["status"] in BROKEN:
                self._say(f"{_name(run)}: {came_to}")
        elif not self.quiet:
            place = f"[{self._finished}/{len(self._runs)}]"
            self._say(f"{place} {_name(run)}: {came_to}, {record['run_seconds']:.0f} s{self._left}")

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Show the timing session."""
        if not self.live:
            if not self.quiet:
                self._say("timing the cells, interleaved")
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status("timing") as self._status:
            yield
        self._status = None

    def note(self, text: str) -> None:
        """Say what the timing session is at."""
        if self._status is not None:
            self._status.update(text)

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(text, file=sys.stderr)

    @property
    def _done(self) -> float:
        return self._finished + sum(self._shares.values())

    @property
    def _left(self) -> str:
        if self._done < 0.5 or self._finished == len(self._runs):
            return ""
        seconds = (time.monotonic() - self._started) / self._done * (len(self._runs) - self._done)
        return f", about {seconds / 60:.1f} min left" if seconds >= 60 else f", about {seconds:.0f} s left"


def _name(run: Run) -> str:
    shown = (display_spec(axis, getattr(run.cell, axis)) for axis in ("task", "architecture", "scan"))
    return f"{' '.join(shown)} seed {run.seed}"
