"""Piece after piece, each in a process of its own: what breaks, hangs or spoils the GPU's context costs one piece."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .bench import Bench
from .one_piece import FULL, SMALL, do_piece
from .pieces import PIECE_MINUTES, Piece
from .results import FAILED, UNFINISHED, Result, begin, path_of, read, write

Start: TypeAlias = Callable[[Piece, Bench, Path, float], Result]
"""Does a piece within so many seconds; what went wrong is in the result."""

LEAST_SECONDS = 30.0
"""With less left of a call's time no piece is begun."""


@dataclass(kw_only=True)
class Outcome:
    """What a call came to. left: pieces that its time did not reach."""

    results: list[Result] = field(default_factory=list)
    left: list[Piece] = field(default_factory=list)

    @property
    def bad(self) -> list[Result]:
        """Results that are wrong or failed."""
        return [result for result in self.results if not result.is_right]


def in_process_of_its_own(piece: Piece, bench: Bench, folder: Path, seconds: float) -> Result:
    """Start a Python for the piece and end it with all it started when its time is over."""
    folder.mkdir(parents=True, exist_ok=True)
    path_of(folder, piece.name).unlink(missing_ok=True)  # or a process that dies at once would leave the old one
    size = SMALL if bench.small else FULL
    command = [sys.executable, "-m", "harness.gpu.one_piece", piece.name, bench.device, size, str(folder)]
    log = folder / f"{piece.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0)
        try:
            code = process.wait(timeout=seconds)
            ended = f"its process ended with {_code(code)}; {log.name} has what it said"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds / 60:.1f} minutes"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return closed(piece, bench, folder, ended)


def in_this_process(piece: Piece, bench: Bench, folder: Path, seconds: float) -> Result:
    """For small sizes, where starting Python anew would take longer than the piece; `seconds` is not held."""
    return do_piece(piece, bench, folder)


def closed(piece: Piece, bench: Bench, folder: Path, ended: str) -> Result:
    """The result of a piece whose process is gone: failed, with its rows so far, where it did not come to its end."""
    found = read(folder, piece.name) or begin(piece, bench)
    if found.status == UNFINISHED:
        found.status, found.reason = FAILED, ended
        write(folder, found)
    return found


def run_pieces(
    pieces: Sequence[Piece],
    bench: Bench,
    folder: Path,
    *,
    minutes: float | None = None,
    again: bool = False,
    start: Start = in_process_of_its_own,
    watch: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Do what is not done yet: first pieces that were never tried, then those that failed.

    Args:
        minutes: of this call; a piece that is expected to take longer than what is left is not begun. again: do
            finished pieces too.
    """
    began, outcome = time.monotonic(), Outcome()
    before = {piece.name: read(folder, piece.name) for piece in pieces}
    waiting = []
    for piece in pieces:
        known = before[piece.name]
        if known is not None and not again and known.serves(piece, bench):
            outcome.results.append(known)
        else:
            waiting.append(piece)
    waiting.sort(key=lambda piece: _has_failed(before[piece.name]))
    for number, piece in enumerate(waiting, start=1):
        seconds = 60 * PIECE_MINUTES
        if minutes is not None:
            rest = 60 * minutes - (time.monotonic() - began)
            if rest < max(LEAST_SECONDS, 60 * piece.minutes):
                outcome.left.append(piece)
                continue
            seconds = min(seconds, rest)
        watch(f"{number} of {len(waiting)}: {piece.name} (about {piece.minutes:g} minutes on a GPU)")
        result = start(piece, bench, folder, seconds)
        watch(f"    {result.verdict} in {result.seconds:.0f} s")
        outcome.results.append(result)
    return outcome


def _has_failed(result: Result | None) -> bool:
    return result is not None and result.status in (FAILED, UNFINISHED)


def _code(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
