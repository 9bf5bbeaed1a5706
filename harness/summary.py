"""From records to rows: one row a cell, with intervals, outcomes and speeds; and the findings between scans."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .cells import UNTUNED, short
from .provenance import is_stale
from .record import Record
from .specs import Spec, format_spec, parse_spec
from .statistics import Comparison, Interval, compare, correct, mean_interval

PRIMARY = ("horizontal", "hilbert")
"""The declared primary comparison of scans; every other pair is exploratory."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell of a table: what its runs came to."""

    task: str
    architecture: str
    scan: str
    protocol: str
    device: str
    dtype: str
    selection: str
    accuracy: Interval
    area: Interval
    outcomes: dict[str, int]
    reason: str | None
    steps_to_threshold: float | None
    reached: int
    steps: int | None
    learning_rate: float | None
    parameters: int | None
    kernel: str | None
    speed: dict[str, Any]
    stale: bool
    records: tuple[Record, ...]

    @property
    def table(self) -> tuple[str, str, str, str, str]:
        """What rows must share to stand in one table and to be compared: task, protocol, device, format, selection.

        Cells tuned on one grid share a table although each carries its own rate.
        """
        protocol = self.protocol if self.selection == UNTUNED else without_rate(self.protocol)
        return self.task, protocol, self.device, self.dtype, self.selection

    @property
    def done(self) -> int:
        return self.outcomes.get("done", 0)

    def get(self, name: str) -> Any:
        """A fact that is the same for all runs of the cell (a ceiling, say), or None."""
        return next((record[name] for record in self.records if record.get(name) is not None), None)


def rows_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Row]:
    """A row a cell, device, number format and selection, in the order in which the records come.

    Speeds are comparable within one session only: in each table those of the session that covers most of its rows are
    shown as they are, the others are marked.
    """
    speeds = {(timing["cell"], timing["device"], timing["dtype"]): timing for timing in timings}
    groups: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        key = (record["cell"], record["device"], record["dtype"], record["selection"])
        groups.setdefault(key, []).append(record)
    rows = [_row(group, dict(speeds.get(key[:3], {}))) for key, group in groups.items()]
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
    tables: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        tables.setdefault(row.table, []).append(row)
    return list(tables.values())


def _row(records: list[Record], speed: dict[str, Any]) -> Row:
    first = records[0]
    done = [record for record in records if record["status"] == "done"]
    outcomes: dict[str, int] = {}
    for record in records:
        outcomes[record["status"]] = outcomes.get(record["status"], 0) + 1
    # A censored run learned later than its budget, if ever: it counts as infinite in the median, and never as a number.
    reached = [record["steps_to_threshold"] for record in done if record["steps_to_threshold"] is not None]
    all_steps = reached + [math.inf] * (len(records) - len(reached))
    median = statistics.median(all_steps) if done else math.inf
    resampled = _resampled(done)
    return Row(
        task=first["task"],
        architecture=first["architecture"],
        scan=first["scan"],
        protocol=first["protocol"],
        device=first["device"],
        dtype=first["dtype"],
        selection=first["selection"],
        accuracy=mean_interval([record["test_accuracy"] for record in done], resampled=resampled),
        area=mean_interval([record["curve_area"] for record in done], resampled=resampled),
        outcomes=outcomes,
        reason=next((record["reason"] for record in records if record["reason"]), None),
        steps_to_threshold=median if math.isfinite(median) else None,
        reached=len(reached),
        steps=next((record["steps"] for record in done), None),
        learning_rate=next((record["learning_rate"] for record in done), None),
        parameters=next((record["parameters"] for record in done), None),
        kernel=next((record["kernel"] for record in done), None),
        speed=speed,
        stale=any(is_stale(record) for record in records),
        records=tuple(records),
    )


def _resampled(records: Sequence[Record]) -> float:
    """How far the seeds' test sets depend on each other (`Task.resampled`); old records do not say: not at all."""
    return max((record.get("resampled") or 0.0 for record in records), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Two scans of one architecture in one table, compared seed by seed.

    family: how many comparisons were corrected together. left_out: runs of the two cells that have no accuracy, or
    whose partner has none.
    """

    table: tuple[str, ...]
    architecture: str
    first: str
    second: str
    primary: bool
    family: int
    left_out: int
    comparison: Comparison

    @property
    def text(self) -> str:
        effect = self.comparison.effect
        interval = f" [{effect.low:+.3f}, {effect.high:+.3f}]" if effect.n > 1 else ""
        left_out = f", {self.left_out} runs without a partner left out" if self.left_out else ""
        return (
            f"{short('architecture', self.architecture)}: {short('scan', self.second)} minus"
            f" {short('scan', self.first)} {effect.mean:+.3f}{interval}, n={effect.n}{left_out}:"
            f" {self.comparison.verdict}"
        )


def findings_of(rows: Sequence[Row], primary: tuple[str, str] = PRIMARY) -> list[Finding]:
    """Every pair of scans that shares a table and an architecture, paired by seed; stale rows take no part.

    The declared primary pair, horizontal against Hilbert unless a study says otherwise, is a family of its own;
    the other pairs are exploratory and corrected together.

    Args:
        primary: canonical texts of two scans; an effect is the second's score minus the first's.
    """
    groups: dict[tuple[tuple[str, ...], str], list[Row]] = {}
    for row in rows:
        if not row.stale:
            groups.setdefault((row.table, row.architecture), []).append(row)
    pairs: list[tuple[bool, Row, Row, int, Comparison]] = []
    for group in groups.values():
        for pair in itertools.combinations(group, 2):
            first, second = pair[::-1] if (pair[0].scan, pair[1].scan) == primary[::-1] else pair
            scores = [
                {r["seed"]: r["test_accuracy"] for r in row.records if r["status"] == "done"} for row in (first, second)
            ]
            seeds = sorted(scores[0].keys() & scores[1].keys())
            if seeds:
                left_out = len(first.records) + len(second.records) - 2 * len(seeds)
                comparison = compare(
                    [scores[0][s] for s in seeds],
                    [scores[1][s] for s in seeds],
                    resampled=_resampled([*first.records, *second.records]),
                )
                pairs.append(((first.scan, second.scan) == primary, first, second, left_out, comparison))
    findings = []
    for declared in (True, False):
        family = [pair for pair in pairs if pair[0] is declared]
        corrected = correct([pair[-1] for pair in family])
        for (_, first, second, left_out, _), comparison in zip(family, corrected, strict=True):
            findings.append(
                Finding(
                    table=first.table,
                    architecture=first.architecture,
                    first=first.scan,
                    second=second.scan,
                    primary=declared,
                    family=len(family),
                    left_out=left_out,
                    comparison=comparison,
                )
            )
    return findings


def without_rate(protocol: str) -> str:
    """A protocol's text without its learning rate."""
    spec = parse_spec(protocol, axis="protocol")
    kept = {name: value for name, value in spec.parameters.items() if name != "learning_rate"}
    return format_spec(Spec(name=spec.name, parameters=kept))


def mixtures(records: Sequence[Record]) -> list[str]:
    """Warnings where a table mixes commits, versions, machines or settings."""
    warnings = []
    for name in ("machine", "torch_version", "mamba_ssm_version", "commit", "deterministic", "device", "dtype"):
        values = {str(record.get(name)) for record in records if record["status"] == "done"}
        if len(values) > 1:
            warnings.append(f"this table mixes {name}: {', '.join(sorted(values))}")
    together = {str(record.get("replicas") or 1) for record in records if record["status"] == "done"}
    if len(together) > 1:
        warnings.append(f"this table mixes seeds trained together, in groups of {', '.join(sorted(together))}")
    if any(record.get("dirty") for record in records):
        warnings.append("some runs were made from a checkout with uncommitted changes")
    return warnings
