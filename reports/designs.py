"""Studies of cells and seeds whose rates are tuned: their sizes as data, and their stages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.registry.cells import Cell, display_spec, protocol_of
from harness.registry.study import Design, Option, Study

if TYPE_CHECKING:
    from harness.analysis.summary import Row

TUNING_SEEDS = (1_000_000,)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells and how many seeds each gets.

    seeds: of every cell. primary_seeds: of those under an order of the declared primary pair, where they get more; 0
    where they do not.
    """

    cells: tuple[Cell, ...]
    seeds: int
    primary_seeds: int = 0

    @property
    def primary(self) -> tuple[Cell, ...]:
        from harness.analysis.summary import PRIMARY

        return tuple(cell for cell in self.cells if cell.scan in PRIMARY)

    def design(self) -> Design:
        """Every cell with the plan's seeds, then the further seeds of the primary pair."""
        yield Study(cells=self.cells, seeds=range(self.seeds), tune=True, tuning_seeds=TUNING_SEEDS)
        further = range(self.seeds, self.primary_seeds)
        if further and self.primary:
            yield Study(cells=self.primary, seeds=further, tune=True, tuning_seeds=TUNING_SEEDS, timing=False)

    @property
    def text(self) -> list[str]:
        """How much it is, what is on each axis, and how many seeds."""
        axes = {
            axis: dict.fromkeys(display_spec(axis, getattr(cell, axis)) for cell in self.cells)
            for axis in ("task", "architecture", "scan", "protocol")
        }
        counts = ", ".join(f"{len(axes[axis])} {axis}s" for axis in ("task", "architecture", "scan"))
        tuning = len(TUNING_SEEDS) * sum(len(protocol_of(cell).tuning_factors) for cell in self.cells)
        further = max(0, self.primary_seeds - self.seeds)
        runs = len(self.cells) * self.seeds + len(self.primary) * further
        orders = " and ".join(dict.fromkeys(cell.scan for cell in self.primary))
        more = f" ({self.primary_seeds} under {orders})" if further else ""
        return [
            f"{len(self.cells)} cells ({counts}), {tuning} tuning runs and {runs} runs",
            *(f"{axis}: {' '.join(texts)}" for axis, texts in axes.items() if axis != "protocol"),
            *(f"protocol: {text}" for text in axes["protocol"]),
            f"seeds: {self.seeds}{more}",
        ]


@dataclass(frozen=True, kw_only=True)
class PackageStudy:
    """A page study (`harness.registry.study.PageStudy`), made of a package here.

    Its module `study` has `design` and `describe`, its module `page` has `sentences` and `write_page`; they are
    imported when they are used. runs: a column of records and the names of the specs in it that are the study's.
    """

    name: str
    sizes: Mapping[str, str]
    runs: tuple[str, ...]
    options: tuple[Option, ...] = ()

    def design(self, size: str, seeds: int | None, **options: Any) -> Design:
        """The stages."""
        return self._module("study").design(size, seeds, **options)

    def describe(self, size: str) -> list[str]:
        """What a size runs."""
        return self._module("study").describe(size)

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is the study's."""
        column, *names = self.runs
        return record[column].partition(":")[0] in names

    def sentences(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """The answer in short."""
        return self._module("page").sentences(records)

    def write_page(self, records: Any, timings: Any, path: Path, *, store: str, command: str) -> list[Path]:
        """Write the page and its pictures (`<page>-<what>.png`) beside it; returns the pictures."""
        return self._module("page").write_page(records, timings, path, store=store, command=command)

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{__package__}.{self.name.replace('-', '_')}.{name}")


def run_command(name: str, plans: Mapping[str, Any], rows: Sequence[Row], store: str) -> str:
    """The command that makes the runs of a page, where one does."""
    from harness.analysis.summary import without_rate

    ran = {(row.task, row.architecture, row.scan, without_rate(row.protocol)) for row in rows}
    seeds = min(len(row.records) for row in rows)
    devices = " ".join(sorted({f"--device {row.device}" for row in rows}))
    for size, make in plans.items():
        plan = make(None)
        if ran == {(cell.task, cell.architecture, cell.scan, without_rate(cell.protocol)) for cell in plan.cells}:
            words = [name, "run", *([f"--{size}"] if size != "default" else [])]
            words += [f"--seeds {seeds}"] if seeds != plan.seeds else []
            return f"python -m harness {' '.join(words)} {devices} --store {store}"
    return "# no size of the study has just these cells; see the settings above"
