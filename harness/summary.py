"""From records to rows: one row a cell, with intervals, outcomes and speeds; and the findings between scans."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .cells import short
from .record import Record
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
    def done(self) -> int:
        return self.outcomes.get("done", 0)

    def get(self, name: str) -> Any:
        """A fact that is the same for all runs of the cell (a ceiling, say), or None."""
        return next((record[name] for record in self.records if record.get(name) is not None), None)


def rows_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Row]:
    """A row a cell and device, in the order in which the records come."""
    speeds = {(timing["cell"], timing["device"]): timing for timing in timings}
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["cell"], record["device"], record["selection"]), []).append(record)
    return [_row(group, speeds.get(key[:2], {})) for key, group in groups.items()]


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
    return Row(
        task=first["task"],
        architecture=first["architecture"],
        scan=first["scan"],
        protocol=first["protocol"],
        device=first["device"],
        accuracy=mean_interval([record["test_accuracy"] for record in done]),
        area=mean_interval([record["curve_area"] for record in done]),
        outcomes=outcomes,
        reason=next((record["reason"] for record in records if record["reason"]), None),
        steps_to_threshold=median if math.isfinite(median) else None,
        reached=len(reached),
        steps=next((record["steps"] for record in done), None),
        learning_rate=next((record["learning_rate"] for record in done), None),
        parameters=next((record["parameters"] for record in done), None),
        kernel=next((record["kernel"] for record in done), None),
        speed=speed,
        stale=any(record.get("stale") for record in records),
        records=tuple(records),
    )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Two scans of one task, architecture and protocol, compared seed by seed."""

    task: str
    architecture: str
    protocol: str
    first: str
    second: str
    primary: bool
    comparison: Comparison

    @property
    def text(self) -> str:
        effect = self.comparison.effect
        interval = f" [{effect.low:+.3f}, {effect.high:+.3f}]" if effect.n > 1 else ""
        return (
            f"{short('architecture', self.architecture)}: {short('scan', self.second)} minus"
            f" {short('scan', self.first)} {effect.mean:+.3f}{interval}, n={effect.n}: {self.comparison.verdict}"
        )


def findings_of(rows: Sequence[Row]) -> list[Finding]:
    """Every pair of scans that shares task, architecture, protocol, paired by seed.

    Horizontal against Hilbert is the declared primary family and corrected by itself; the other pairs are exploratory
    and corrected together.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        # A tuned cell's protocol carries its own rate; tuned cells are still compared with each other.
        groups.setdefault((row.task, row.architecture, _without_rate(row.protocol), row.device), []).append(row)
    pairs: list[tuple[bool, Row, Row, Comparison]] = []
    for group in groups.values():
        for first, second in itertools.combinations(group, 2):
            names = (first.scan, second.scan)
            if names == PRIMARY[::-1]:
                first, second = second, first
            scores = [
                {r["seed"]: r["test_accuracy"] for r in row.records if r["status"] == "done"} for row in (first, second)
            ]
            seeds = sorted(scores[0].keys() & scores[1].keys())
            if first.scan != second.scan and seeds:
                primary = set(names) == set(PRIMARY)
                comparison = compare([scores[0][s] for s in seeds], [scores[1][s] for s in seeds])
                pairs.append((primary, first, second, comparison))
    findings = []
    for primary in (True, False):
        family = [pair for pair in pairs if pair[0] is primary]
        for (_, first, second, _), comparison in zip(family, correct([pair[3] for pair in family]), strict=True):
            findings.append(
                Finding(
                    task=first.task,
                    architecture=first.architecture,
                    protocol=first.protocol,
                    first=first.scan,
                    second=second.scan,
                    primary=primary,
                    comparison=comparison,
                )
            )
    return findings


def _without_rate(protocol: str) -> str:
    return ",".join(part for part in protocol.split(",") if not part.startswith("learning_rate="))


def mixtures(records: Sequence[Record]) -> list[str]:
    """Warnings where a table mixes commits, versions, machines or settings."""
    warnings = []
    for name in ("machine", "torch_version", "mamba_ssm_version", "commit", "deterministic", "device", "dtype"):
        values = {str(record.get(name)) for record in records if record["status"] == "done"}
        if len(values) > 1:
            warnings.append(f"this table mixes {name}: {', '.join(sorted(values))}")
    if any(record.get("dirty") for record in records):
        warnings.append("some runs were made from a checkout with uncommitted changes")
    return warnings
