"""A place: one task under one scan, one protocol and one device, in which architectures are compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.cells import cell_from, short
from harness.ranking import Ranking, correct_rankings, rank_treatments
from harness.record import Record
from harness.specs import parse_spec
from harness.summary import Row, rows_of, without_rate

from ..scan_orders.results import chance_of, scores_of
from .study import ARCHITECTURES, PLACES


@dataclass(frozen=True, kw_only=True)
class Place:
    """The rows of one place, in the order of the study's architectures, and their tuning runs.

    table: task, protocol without a tuned rate, device, number format, selection. bare: no other place has a task of
    that name with other parameters, so the name is enough.
    """

    table: tuple[str, str, str, str, str]
    scan: str
    rows: tuple[Row, ...]
    tuning: tuple[Record, ...]
    bare: bool = False

    @property
    def task(self) -> str:
        return self.table[0]

    @property
    def name(self) -> str:
        """`locality2d, hilbert`; the scan where the task has more than one row of cells."""
        grid = next((row.get("grid") for row in self.rows if row.get("grid")), None)
        task = parse_spec(self.task).name if self.bare else short("task", self.task)
        return f"{task}, {short('scan', self.scan)}" if grid is None or grid[0] > 1 else task

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def setting(self) -> str:
        """Protocol, device and number format."""
        return ", ".join((short("protocol", self.table[1]), *self.table[2:4]))

    @property
    def is_listed(self) -> bool:
        """Whether the default study has this place."""
        return self.identity in _places_listed()

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.task, self.scan, self.table[1]

    @property
    def chance(self) -> float:
        return chance_of(self.rows[0])

    @property
    def resampled(self) -> float:
        """Test over training samples where seeds are splits of one data set, else 0."""
        return max((float(row.get("resampled") or 0.0) for row in self.rows), default=0.0)

    def ranking(self) -> Ranking:
        """Of the architectures that have scores, on the seeds that all of them have; not yet corrected."""
        scores = {row.architecture: scores_of(row) for row in self.rows}
        scores = {name: found for name, found in scores.items() if found}
        seeds = sorted(set.intersection(*(set(found) for found in scores.values()))) if scores else []
        values = np.array([[found[seed] for found in scores.values()] for seed in seeds], dtype=float)
        return rank_treatments(
            values.reshape(len(seeds), len(scores)), list(scores), resampled=self.resampled, noun="architecture"
        )


def places_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Place]:
    """Places as the default study lists them, others behind in the order in which they came.

    Args:
        records: final and tuning runs.
    """
    records = list(records)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows_of([record for record in records if record["purpose"] == "final"], timings):
        groups.setdefault((row.table, row.scan), []).append(row)
    trials: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record["purpose"] != "final":
            where = (record["task"], without_rate(record["protocol"]), record["device"], record["dtype"])
            trials.setdefault((*where, record["scan"]), []).append(record)
    known = [cell_from(PLACES[0][0], name, "horizontal", "standard").architecture for name in ARCHITECTURES]
    places = [
        Place(
            table=table,
            scan=scan,
            rows=tuple(sorted(_newest(rows), key=lambda row: _position(row.architecture, known))),
            tuning=tuple(trials.get((*table[:4], scan), ())),
        )
        for (table, scan), rows in groups.items()
    ]
    tasks = {place.task for place in places}
    names = Counter(parse_spec(task).name for task in tasks)
    places = [replace(place, bare=names[parse_spec(place.task).name] == 1) for place in places]
    return sorted(places, key=lambda place: _position(place.identity, _places_listed()))


def rankings_of(places: Sequence[Place]) -> list[Ranking]:
    """One a place, Friedman's tests corrected over all of them."""
    return correct_rankings([place.ranking() for place in places])


def _newest(rows: Sequence[Row]) -> list[Row]:
    """Of a cell that was tuned twice, with different outcomes, the later row."""
    by_age = sorted(rows, key=lambda row: max(record["started_at"] for record in row.records))
    return list({row.architecture: row for row in by_age}.values())


def _places_listed() -> list[tuple[str, str, str]]:
    """Task, scan and protocol without its rate, as the default study has them."""
    cells = [cell_from(task, ARCHITECTURES[0], scan, protocol) for task, scan, protocol in PLACES]
    return [(cell.task, cell.scan, without_rate(cell.protocol)) for cell in cells]


def _position(value: Any, listed: Sequence[Any]) -> int:
    return listed.index(value) if value in listed else len(listed)
