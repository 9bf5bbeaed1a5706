"""What is to be run, as data: a study of cells and seeds, and the stages of a study that has a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from .cells import Cell, Run

OnProgress: TypeAlias = Callable[[Run, int, int, float, float | None], None]
"""Hears of a run as it goes: the run, step, steps, training loss, last validation accuracy (None before the first)."""

TUNING_SEEDS = (1_000_000, 1_000_001)
"""Held-out seeds of the tuning runs; no final run may use them."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Cells and seeds, where and how they run, and whether each cell's learning rate is tuned first.

    rates: the learning rates that tuning tries, for every cell; multiples of each protocol's own where there are none.
    extend, halving: how tuning goes on from there (`harness.running.tuning`). timing: whether a timing session of all
    cells follows the runs.
    """

    cells: Sequence[Cell]
    seeds: Sequence[int]
    device: str = "cpu"
    dtype: str = "float32"
    tune: bool = False
    tuning_seeds: Sequence[int] = TUNING_SEEDS
    rates: Sequence[float] = ()
    extend: bool = False
    halving: bool = False
    timing: bool = True


@dataclass(frozen=True, kw_only=True)
class TimingStage:
    """A timing session of cells that are not trained; the store answers where it has them all, of today's source."""

    cells: Sequence[Cell]


READING = "slides reading"
"""The cell of the timing row that a reading stage leaves in the store."""


@dataclass(frozen=True, kw_only=True)
class ReadingStage:
    """A pass over every slide of a `wsi` task in a fresh process, its memory watched."""

    task: str
    kept_mebibytes: int


Stage: TypeAlias = Study | TimingStage | ReadingStage

Design: TypeAlias = Generator[Stage, Sequence[Mapping[str, Any]], None]
"""Yields stage after stage and is sent the final records of each (none of a timing or a reading), so that what is run
next may depend on them. Device and number format of its studies are the request's.
"""


@dataclass(frozen=True)
class Option:
    """A command-line option of one page study beside those that all have.

    name: `--folder`, or `ids` without hyphens: words, any number of them. The design is given it by its name, without
    hyphens in front and with underscores within.
    """

    name: str
    help: str
    default: Any = None
    type: type = str


class PageStudy(Protocol):
    """A study that has a page of its own: what to run, and what to make of the records.

    `harness.reports.NAME.command.STUDY` is one. Its module is imported to parse the command line, so what is heavy
    (torch, matplotlib, the study's own modules) is imported in the methods.

    name: of its command and, with .sqlite and .md, of its files. sizes: "quick", "default" and, where there is one,
    "full", with a line of help each.
    """

    name: str
    sizes: Mapping[str, str]
    options: tuple[Option, ...]

    def design(self, size: str, seeds: int | None, **options: Any) -> Design:
        """The stages. seeds: of every cell; None is the size's own number.

        Raises:
            UserError: an option that cannot be; with the first stage.
        """
        ...

    def describe(self, size: str) -> list[str]:
        """What a size runs, for `list`, a line each."""
        ...

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Whether a record of a store is the study's."""
        ...

    def sentences(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """The answer in short, printed when the runs are done."""
        ...

    def write_page(
        self,
        records: Sequence[dict[str, Any]],
        timings: Sequence[dict[str, Any]],
        path: Path,
        *,
        store: str,
        command: str,
    ) -> list[Path]:
        """Write the page in Markdown and its figures beside it; returns the figures.

        Args:
            records: those the study wants, tuning runs too. store: name of the file. command: how the page is made.
        """
        ...
