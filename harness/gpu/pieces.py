"""What a piece of the check is: a function of a bench that yields rows, with a name and what it takes.

@piece("noise-floor", title="...", minutes=2)
def noise_floor(bench): yield Row(case="...", passed=True, found="...")
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from harness.store.provenance import imported_files

from .bench import Bench

PIECE_MINUTES = 8.0
"""A piece that takes longer is stopped, and its rows so far are kept."""

KERNEL_PACKAGES = ("torch", "triton", "fla-core", "mamba-ssm", "causal-conv1d")
"""Another version of one of them makes a result anew."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was tried.

    passed: None for a measurement, and for what could not be tried, which `found` then says. facts: numbers, as JSON.
    """

    case: str
    passed: bool | None
    found: str
    facts: dict[str, Any] = field(default_factory=dict)


Rows: TypeAlias = Iterator[Row]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of the check that runs by itself, in a process of its own.

    minutes: estimated, on a GPU. run: yields rows. modules: where it is written, then what it tests; a change of their
    sources makes its result old.
    """

    name: str
    title: str
    minutes: float
    run: Callable[[Bench], Rows]
    modules: tuple[str, ...]

    @property
    def source(self) -> str:
        """A hash of the sources that decide its rows."""
        files: set[Path] = set()
        for module in self.modules:
            origin = importlib.import_module(module).__file__
            assert origin is not None
            files |= imported_files(Path(origin).resolve(), "cuda")
        digest = hashlib.sha256()
        for name, content in sorted((path.name, path.read_bytes()) for path in files):
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()[:16]


def versions() -> dict[str, str | None]:
    """The versions of the packages whose kernels are tried; None for what is not installed."""
    found: dict[str, str | None] = {}
    for package in KERNEL_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


PIECES: dict[str, Piece] = {}
"""By name; `harness.gpu.catalogue` puts them in order."""


def add(new: Piece) -> None:
    """Take a piece into the check.

    Raises:
        ValueError: there is one of that name, or it is expected to take longer than a piece may.
    """
    if new.name in PIECES:
        raise ValueError(f"there are two pieces called {new.name!r}; give one another name")
    if new.minutes > PIECE_MINUTES:
        raise ValueError(f"piece {new.name!r} is to take {new.minutes:g} minutes, over {PIECE_MINUTES:g}; split it")
    PIECES[new.name] = new


def piece(
    name: str, *, title: str, minutes: float, modules: Sequence[str] = ()
) -> Callable[[Callable[[Bench], Rows]], Callable[[Bench], Rows]]:
    """Decorate a function as a piece. modules: what it tests."""

    def decorate(run: Callable[[Bench], Rows]) -> Callable[[Bench], Rows]:
        add(Piece(name=name, title=title, minutes=minutes, run=run, modules=(run.__module__, *modules)))
        return run

    return decorate
