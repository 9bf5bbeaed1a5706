"""From records to rows: one row per cell, with intervals, outcomes and speeds; and the findings between scans."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from harness.contracts.outcome import Status
from harness.registry.cells import LrSelection
from harness.registry.specs import Spec, format_spec, parse_spec
from harness.store.provenance import is_stale
from harness.store.record import Record

from .censored import Median, censored_median
from .scores import chance_of, scores_of, steps_of
from .statistics import Comparison, Interval, compare, correct, mean_interval

Item = TypeVar("Item")
Key = TypeVar("Key")

PRIMARY = ("horizontal", "hilbert")
"""The declared primary comparison of scans; every other pair is exploratory."""


class TableKey(NamedTuple):
    """What rows must share to stand in one table and to be compared; a tuned protocol is without its rate."""

    task: str
    protocol: str
    device: str
    dtype: str
    lr_selection: LrSelection | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One cell of a table: what its runs came to. Accuracies follow the rule of `harness.analysis.scores`."""

    records: tuple[Record, ...]
    speed: dict[str, Any]

    task = property(lambda self: str(self.records[0]["task"]))
    architecture = property(lambda self: str(self.records[0]["architecture"]))
    scan = property(lambda self: str(self.records[0]["scan"]))
    protocol = property(lambda self: str(self.records[0]["protocol"]))
    device = property(lambda self: str(self.records[0]["device"]))
    dtype = property(lambda self: str(self.records[0]["dtype"]))
    steps = property(lambda self: self.get("steps"))
    learning_rate = property(lambda self: self.get("learning_rate"))
    parameters = property(lambda self: self.get("parameters"))
    kernel = property(lambda self: self.get("kernel"))

    def get(self, name: str) -> Any:
        """A fact that is the same for all runs of the cell (a ceiling, say), or None."""
        return next((record[name] for record in self.records if record.get(name) is not None), None)

    @cached_property
    def lr_selection(self) -> LrSelection | None:
        """How the learning rate was chosen; None where it was not tuned."""
        return LrSelection.from_record(self.records[0])

    @property
    def table(self) -> TableKey:
        """The table that the row stands in: cells tuned on one grid share one although each has its own rate."""
        protocol = self.protocol if self.lr_selection is None else without_rate(self.protocol)
        return TableKey(self.task, protocol, self.device, self.dtype, self.lr_selection)

    @property
    def at_edge(self) -> bool:
        """Whether the chosen rate stands at the edge of its grid, so that a better one may lie beyond."""
        rates = self.lr_selection.rates if self.lr_selection else ()
        return bool(rates) and self.learning_rate in (min(rates), max(rates))

    @cached_property
    def outcomes(self) -> Counter[str]:
        """How many runs ended how, by status."""
        return Counter(record["status"] for record in self.records)

    @property
    def done(self) -> int:
        return self.outcomes[Status.DONE]

    @cached_property
    def reason(self) -> str | None:
        """The first reason of a run that was not done."""
        return next((record["reason"] for record in self.records if record["reason"]), None)

    @cached_property
    def scores(self) -> dict[int, float]:
        """Test accuracy by seed."""
        return scores_of(self.records)

    @cached_property
    def chance(self) -> float:
        """NaN where the task is not to be had here."""
        return chance_of(self.records)

    @property
    def test_train_ratio(self) -> float:
        """How far the seeds' test sets depend on each other (`Task.test_train_ratio`); 0 where records do not say."""
        return float(self.get("test_train_ratio") or 0.0)

    @cached_property
    def accuracy(self) -> Interval:
        """Mean test accuracy; n counts the runs that have a score."""
        return mean_interval(list(self.scores.values()), test_train_ratio=self.test_train_ratio)

    @cached_property
    def aulc(self) -> Interval:
        """Mean area under the learning curve: validation accuracy averaged over training."""
        scores = scores_of(self.records, "mean_validation_accuracy")
        return mean_interval(list(scores.values()), test_train_ratio=self.test_train_ratio)

    @cached_property
    def steps_to_threshold(self) -> Median:
        """Median steps over the runs that have a score; one that never got there is later than any."""
        return censored_median(steps_of(self.records))

    def at_length(self, length: str) -> Interval:
        """Mean test accuracy of the trained models on sequences of another length."""
        found = [(record.get("length_accuracy") or {}).get(length) for record in self.records]
        return mean_interval([accuracy for accuracy in found if accuracy is not None])

    @cached_property
    def stale(self) -> bool:
        return any(map(is_stale, {record["source"]: record for record in self.records}.values()))


def rows_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Row]:
    """One row per cell, device, number format and selection, in the order in which the records come.

    Speeds are comparable within one session only: in each table those of the session that covers most of its rows are
    shown as they are, the others are marked.
    """
    speeds = {(timing["cell"], timing["device"], timing["dtype"]): timing for timing in timings}
    groups = _grouped(records, lambda r: (r["cell"], r["device"], r["dtype"], LrSelection.from_record(r)))
    rows = [Row(records=tuple(group), speed=dict(speeds.get(key[:3], {}))) for key, group in groups.items()]
    for table in tables_of(rows):
        session = main_session(table)
        for row in table:
            if row.speed.get("session", session) != session:
                row.speed["speed_note"] = "; ".join(filter(None, [row.speed.get("speed_note"), "another session"]))
    return rows


def main_session(rows: Sequence[Row]) -> str | None:
    """The timing session that covers most of the rows; None where none was timed."""
    sessions = [row.speed["session"] for row in rows if "session" in row.speed]
    return statistics.mode(sessions) if sessions else None


def tables_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows by the table that they stand in."""
    return list(_grouped(rows, lambda row: row.table).values())


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Two scans of one architecture in one table, compared seed by seed.

    family: how many comparisons were corrected together. left_out: runs of the two cells that have no score, or whose
    partner has none. diverged: runs among those compared that count as chance.
    """

    table: TableKey
    architecture: str
    first: str
    second: str
    primary: bool
    family: int
    left_out: int
    diverged: int
    comparison: Comparison


def findings_of(rows: Sequence[Row], primary: tuple[str, str] = PRIMARY) -> list[Finding]:
    """Every pair of scans that shares a table and an architecture, paired by seed; stale rows take no part.

    The declared primary pair, horizontal against Hilbert unless a study says otherwise, is a family of its own;
    the other pairs are exploratory and corrected together.

    Args:
        primary: canonical texts of two scans; an effect is the second's score minus the first's.
    """
    groups = _grouped((row for row in rows if not row.stale), lambda row: (row.table, row.architecture))
    families: dict[bool, list[tuple[Row, Row, Comparison]]] = {True: [], False: []}
    for group in groups.values():
        for pair in itertools.combinations(group, 2):
            first, second = pair[::-1] if (pair[0].scan, pair[1].scan) == primary[::-1] else pair
            comparison = compare_rows(first, second)
            if comparison is not None:
                families[(first.scan, second.scan) == primary].append((first, second, comparison))
    return [
        Finding(
            table=first.table,
            architecture=first.architecture,
            first=first.scan,
            second=second.scan,
            primary=declared,
            family=len(family),
            left_out=len(first.records) + len(second.records) - 2 * comparison.effect.n,
            diverged=first.outcomes[Status.DIVERGED] + second.outcomes[Status.DIVERGED],
            comparison=comparison,
        )
        for declared, family in families.items()
        for (first, second, _), comparison in zip(family, correct([each[2] for each in family]), strict=True)
    ]


def compare_rows(first: Row, second: Row) -> Comparison | None:
    """Two rows compared on the seeds for which both have a score, not yet corrected; None where there is none."""
    seeds = sorted(first.scores.keys() & second.scores.keys())
    if not seeds:
        return None
    return compare(
        [first.scores[seed] for seed in seeds],
        [second.scores[seed] for seed in seeds],
        test_train_ratio=max(first.test_train_ratio, second.test_train_ratio),
    )


def without_rate(protocol: str) -> str:
    """A protocol's text without its learning rate."""
    spec = parse_spec(protocol, axis="protocol")
    kept = {name: value for name, value in spec.parameters.items() if name != "learning_rate"}
    return format_spec(Spec(name=spec.name, parameters=kept))


def mixtures(records: Sequence[Record]) -> list[str]:
    """Warnings where records mix commits, versions, machines or settings."""
    warnings = []
    done = [record for record in records if record["status"] == Status.DONE]
    for name in ("machine", "torch_version", "mamba_ssm_version", "commit", "deterministic", "device", "dtype"):
        values = {str(record.get(name)) for record in done}
        if len(values) > 1:
            warnings.append(f"mixed {name}: {', '.join(sorted(values))}")
    together = {str(record.get("replicas") or 1) for record in done}
    if len(together) > 1:
        warnings.append(f"mixed seeds trained together, in groups of {', '.join(sorted(together))}")
    if any(record.get("dirty") for record in records):
        warnings.append("some runs were made from a checkout with uncommitted changes")
    return warnings
