"""Rows ranked against each other: the scans of one task and architecture, or architectures of one task and scan."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.analysis.many_to_one import tells_apart
from harness.analysis.ranking import Ranking, correct_rankings, rank_treatments
from harness.analysis.summary import Row, rows_of
from harness.registry.cells import FINAL, LrSelection, display_spec
from harness.registry.specs import Spec, format_spec, parse_spec
from harness.store.record import Record

Axis = Literal["scan", "architecture"]


def without_transfer(protocol: str) -> str:
    """A protocol's text without the orders by which trained models are read, too."""
    spec = parse_spec(protocol, axis="protocol")
    kept = {name: text for name, text in spec.parameters.items() if name != "transfer"}
    return format_spec(Spec(name=spec.name, parameters=kept))


@dataclass(frozen=True)
class Setting:
    """What rows must share to be compared; protocol: without a tuned rate, and without orders that only read."""

    protocol: str
    device: str
    dtype: str
    lr_selection: LrSelection | None

    @staticmethod
    def of(row: Row) -> Setting:
        table = row.table
        return Setting(without_transfer(table.protocol), table.device, table.dtype, table.lr_selection)

    @property
    def text(self) -> str:
        return f"{display_spec('protocol', self.protocol)}, {self.device}, {self.dtype}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """axis: what is ranked. beside: the architecture or the scan that its rows share. rows: the newest of each cell.

    superseded: how many rows were left out, since their cell was tuned again later with another outcome. bare: no other
    place has a task of that name with other parameters, so the name is enough.
    """

    setting: Setting
    axis: Axis
    task: str
    beside: str
    rows: tuple[Row, ...]
    superseded: int = 0
    bare: bool = True

    @property
    def name(self) -> str:
        """`locality2d, hilbert`; a scan only where the task has more than one row of cells."""
        task = parse_spec(self.task).name if self.bare else display_spec("task", self.task)
        grid = next((row.get("grid") for row in self.rows if row.get("grid")), None)
        if self.axis == "architecture" and grid is not None and grid[0] == 1:
            return task
        return f"{task}, {display_spec('architecture' if self.axis == 'scan' else 'scan', self.beside)}"

    @property
    def heading(self) -> dict[str, str]:
        """The columns that name it in a table; * where seeds are splits of one data set."""
        star = "*" * bool(self.test_train_ratio)
        if self.axis == "architecture":
            return {"place": self.name + star}
        task = display_spec("task", self.task)
        return {"task": task + star, "architecture": display_spec("architecture", self.beside)}

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def chance(self) -> float:
        return self.rows[0].chance

    @property
    def ranks(self) -> bool:
        """Whether ranks say something here: see `many_to_one.tells_apart`."""
        ceiling = next((row.get("oracle_accuracy") for row in self.rows if row.get("oracle_accuracy")), 1.0)
        return tells_apart(self.block()[2], chance=self.chance, ceiling=ceiling)

    @property
    def test_train_ratio(self) -> float:
        """Test over training samples where seeds are splits of one data set, else 0."""
        return max(row.test_train_ratio for row in self.rows)

    def row(self, name: str) -> Row | None:
        """The row of a scan or an architecture."""
        return next((row for row in self.rows if getattr(row, self.axis) == name), None)

    def block(self) -> tuple[list[str], list[int], np.ndarray]:
        """As `block_of` has it."""
        return block_of(self.rows, self.axis)


def block_of(rows: Sequence[Row], axis: Axis) -> tuple[list[str], list[int], np.ndarray]:
    """Names on an axis, seeds that all of them have, and scores [seeds, names]; what has no score is left out."""
    by_name = {getattr(row, axis): row.scores for row in rows if row.scores}
    seeds = sorted(set.intersection(*map(set, by_name.values()))) if by_name else []
    values = np.array([[scores[seed] for scores in by_name.values()] for seed in seeds], dtype=float)
    return list(by_name), seeds, values.reshape(len(seeds), len(by_name))


def places_of(
    records: Iterable[Record], timings: Iterable[dict[str, Any]], *, axis: Axis, listed: Sequence[str]
) -> list[Place]:
    """Places in the order in which they come, the rows of each as the study lists them.

    Args:
        records: of any purpose; only final runs are taken. listed: names on the axis.
    """
    groups: dict[tuple[Setting, str, str], list[Row]] = {}
    for row in rows_of([record for record in records if record["purpose"] == FINAL], timings):
        beside = row.architecture if axis == "scan" else row.scan
        groups.setdefault((Setting.of(row), row.task, beside), []).append(row)
    tasks = Counter(parse_spec(task).name for task in {task for _, task, _ in groups})
    places = []
    for (setting, task, beside), rows in groups.items():
        by_age = sorted(rows, key=lambda row: max(record["started_at"] for record in row.records))
        kept = list({getattr(row, axis): row for row in by_age}.values())
        places.append(
            Place(
                setting=setting, axis=axis, task=task, beside=beside, superseded=len(rows) - len(kept),
                rows=tuple(sorted(kept, key=lambda row: position(getattr(row, axis), listed))),
                bare=tasks[parse_spec(task).name] == 1,
            )
        )  # fmt: skip
    return places


def position(text: str, listed: Sequence[str]) -> int:
    """Where a spec stands among those that a study lists, by its name; behind all of them where it is not."""
    names = [each.partition(":")[0] for each in listed]
    name = text.partition(":")[0]
    return names.index(name) if name in names else len(names)


def rankings_of(places: Sequence[Place]) -> list[Ranking]:
    """One for each place, Friedman's tests corrected over all of them."""
    found = []
    for place in places:
        names, _, scores = place.block()
        chance = None if math.isnan(place.chance) else place.chance
        found.append(rank_treatments(scores, names, test_train_ratio=place.test_train_ratio, chance=chance))
    return correct_rankings(found)
