"""The records of one setting, by task, architecture and order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from harness.cells import UNTUNED, parse_task, short
from harness.errors import Unsupported, UserError
from harness.record import Record
from harness.specs import Spec, format_spec, parse_spec
from harness.statistics import Interval, mean_interval
from harness.summary import Row, rows_of

from .study import ARCHITECTURES, ORDERS, TASKS


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What cells must share to be compared: protocol but for its learning rate, device, number format, selection."""

    protocol: str
    device: str
    dtype: str
    selection: str

    @property
    def text(self) -> str:
        return f"{short('protocol', self.protocol)}, {self.device}, {self.dtype}, {self.selection}"


class Results:
    """Cells of one setting.

    tasks, architectures, orders: canonical texts, as the study lists them. superseded: rows of which
    there is a newer one with another learning rate; they are left out.
    """

    def __init__(self, setting: Setting, rows: Sequence[Row], tuning: Sequence[Record] = ()):
        self.setting = setting
        self.tuning = list(tuning)
        by_age = sorted(rows, key=lambda row: max(record["started_at"] for record in row.records))
        self._rows = {(row.task, row.architecture, row.scan): row for row in by_age}
        self.rows = [row for row in rows if any(row is kept for kept in self._rows.values())]
        self.superseded = len(rows) - len(self.rows)
        self.tasks = _sorted(TASKS, (row.task for row in rows))
        self.architectures = _sorted(ARCHITECTURES, (row.architecture for row in rows))
        self.orders = _sorted(ORDERS, (row.scan for row in rows))

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        """Every (task, architecture) that has cells."""
        known = {(row.task, row.architecture) for row in self.rows}
        return [(t, a) for t in self.tasks for a in self.architectures if (t, a) in known]

    def row(self, task: str, architecture: str, order: str) -> Row | None:
        return self._rows.get((task, architecture, order))

    def of(self, task: str, architecture: str) -> list[Row]:
        """The rows of one place, in the order of `orders`."""
        found = (self.row(task, architecture, order) for order in self.orders)
        return [row for row in found if row is not None]

    def done(self, task: str, architecture: str, order: str) -> dict[int, float]:
        """Test accuracy by seed of the runs that ran to their end."""
        row = self.row(task, architecture, order)
        return {} if row is None else done_of(row)

    def scores(self, task: str, architecture: str, order: str) -> dict[int, float]:
        """The same, and chance for a run that diverged."""
        row = self.row(task, architecture, order)
        return {} if row is None else scores_of(row)

    def block(self, task: str, architecture: str) -> Block:
        """Scores of all orders on the seeds that all of them have; orders without any score are left out."""
        by_order = {order: self.scores(task, architecture, order) for order in self.orders}
        by_order = {order: scores for order, scores in by_order.items() if scores}
        seeds = sorted(set.intersection(*(set(scores) for scores in by_order.values()))) if by_order else []
        values = np.array([[scores[seed] for scores in by_order.values()] for seed in seeds], dtype=float)
        return Block(orders=list(by_order), seeds=seeds, scores=values.reshape(len(seeds), len(by_order)))

    def resampled(self, task: str) -> float:
        """Test over training samples where seeds are splits of one data set, else 0."""
        return max((float(row.get("resampled") or 0.0) for row in self.rows if row.task == task), default=0.0)

    def accuracy(self, row: Row) -> Interval:
        """Mean test accuracy of the runs that ran to their end, its interval corrected for splits of one data set."""
        scores = list(self.done(row.task, row.architecture, row.scan).values())
        return mean_interval(scores, resampled=self.resampled(row.task))


@dataclass(frozen=True, kw_only=True)
class Block:
    """Scores [seeds, orders] of one task and architecture."""

    orders: list[str]
    seeds: list[int]
    scores: np.ndarray


def results_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Results]:
    """One a setting, that with most runs first.

    Args:
        records: final and tuning runs.
    """
    records = [record for record in records if record["protocol"].startswith("standard:")]
    final = [record for record in records if record["purpose"] == "final"]
    tuning = [record for record in records if record["purpose"] != "final"]
    groups: dict[Setting, list[Row]] = {}
    for row in rows_of(final, list(timings)):
        setting = Setting(
            protocol=bare(row.protocol, tuned=row.selection != UNTUNED),
            device=row.device,
            dtype=row.dtype,
            selection=row.selection,
        )
        groups.setdefault(setting, []).append(row)
    found = []
    for setting, rows in groups.items():
        trials = [record for record in tuning if bare(record["protocol"]) == setting.protocol]
        found.append(Results(setting, rows, trials if setting.selection != UNTUNED else []))
    return sorted(found, key=lambda results: -sum(len(row.records) for row in results.rows))


def bare(protocol: str, *, tuned: bool = True) -> str:
    """A protocol's text without what cells of one setting may differ in: the rate if tuned, and what reads a model."""
    spec = parse_spec(protocol, axis="protocol")
    dropped = {"transfer", "learning_rate"} if tuned else {"transfer"}
    return format_spec(
        Spec(name=spec.name, parameters={name: text for name, text in spec.parameters.items() if name not in dropped})
    )


def done_of(row: Row) -> dict[int, float]:
    """Test accuracy by seed of the runs that ran to their end."""
    return {record["seed"]: record["test_accuracy"] for record in row.records if record["status"] == "done"}


def scores_of(row: Row) -> dict[int, float]:
    """The same, and chance for a run that diverged: what it has learned is a guess."""
    return {record["seed"]: chance_of(row) for record in row.records if record["status"] == "diverged"} | done_of(row)


def chance_of(row: Row) -> float:
    """The task's chance, also where a run did not come far enough to note it; NaN where the task is not to be had."""
    found = row.get("chance_accuracy")
    if found is None:
        try:
            found = parse_task(row.task).chance
        except (UserError, Unsupported):
            return math.nan
    return float(found)


def _sorted(axis: tuple[str, ...], found: Iterable[str]) -> list[str]:
    """As the study lists them, others behind in the order in which they came."""
    names = [text.partition(":")[0] for text in axis]
    return sorted(
        dict.fromkeys(found),
        key=lambda text: names.index(name) if (name := text.partition(":")[0]) in names else len(names),
    )


def name_of(axis: str, text: str) -> str:
    """A canonical text without defaults, for people."""
    return short(axis, text)
