"""What an experiment is: settings to run, checks stated beforehand, a table, a figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.analysis.censored import Median, censored_median
from harness.analysis.scores import scores_of
from harness.analysis.statistics import mean_interval
from harness.analysis.summary import without_rate
from harness.contracts.outcome import Status
from harness.registry.cells import Cell, LrSelection, cell_from
from harness.store.record import Record

from ..text import interval_text, median_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FROZEN_GATED = "gated-ssm:train_projections=false"
"""The block of the paper's analysis: W_B and W_C stay at their initial value, w_D is trained."""

FROZEN_UNGATED = "ungated-ssm:train_projections=false"
"""The same with every gate held at 1/2."""


@dataclass(frozen=True)
class Point:
    """One setting of an experiment: a cell that many seeds run.

    facts: what the figure and the fits read, (name, value) pairs. tune: each cell's step is chosen on tuning seeds
    first.
    """

    facts: tuple[tuple[str, Any], ...]
    task: str
    architecture: str
    protocol: str
    tune: bool = False

    @cached_property
    def cell(self) -> Cell:
        return cell_from(self.task, self.architecture, "horizontal", self.protocol)

    def get(self, name: str) -> Any:
        return dict(self.facts)[name]

    @property
    def label(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.facts)


def point(task: str, architecture: str, protocol: str, *, tune: bool = False, **facts: Any) -> Point:
    """A point; `facts` by name."""
    return Point(facts=tuple(facts.items()), task=task, architecture=architecture, protocol=protocol, tune=tune)


class Results:
    """The finished trials of every point, read from records.

    Args:
        records: final runs of a store, of whatever study.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]):
        self._by_cell: dict[tuple[object, ...], list[Record]] = {}
        for record in records:
            tuned = LrSelection.from_record(record) is not None
            protocol = without_rate(record["protocol"]) if tuned else record["protocol"]
            place = record["task"], record["architecture"], record["scan"], protocol, tuned
            self._by_cell.setdefault(place, []).append(dict(record))

    def of(self, point: Point) -> list[Record]:
        """Records of a point's trials, by seed, whatever their outcome."""
        cell = point.cell
        protocol = without_rate(cell.protocol) if point.tune else cell.protocol
        found = self._by_cell.get((cell.task, cell.architecture, cell.scan, protocol, point.tune), [])
        return sorted(found, key=lambda record: record["seed"])

    def done(self, point: Point) -> list[Record]:
        """Records of the trials that ran to their end."""
        return [record for record in self.of(point) if record["status"] == Status.DONE]

    def values(self, point: Point, name: str) -> list[Any]:
        """One column of the trials that ran to their end; of accuracy also of those that diverged: it is chance."""
        if name == "test_accuracy":
            return list(scores_of(self.of(point)).values()) if self.of(point) else []
        return [record[name] for record in self.done(point)]

    def steps(self, point: Point, name: str = "steps_to_convergence") -> Median:
        """Median steps to an end point; a run that did not finish did not arrive."""
        return censored_median([record.get(name) for record in self.of(point)])

    def at(self, point: Point, name: str, index: int = -1) -> list[float]:
        """A value of a recorded trajectory, the last unless another is asked for, trial by trial."""
        return [record["curve"][name][index] for record in self.done(point) if name in record["curve"]]

    def known(self, points: Iterable[Point]) -> list[Point]:
        """Those points of which there are trials."""
        return [point for point in points if self.done(point)]


class Verdict(StrEnum):
    """What trials say of a statement with a smallest effect that matters."""

    SHOWN = "shown"
    CONTRADICTED = "contradicted"
    TOO_SMALL = "too small to matter"
    NOT_DECIDED = "not decided"
    PARTLY = "partly shown"  # of a claim alone: some checks show it, the others are not decided
    MIXED = "mixed"  # of a claim alone: its checks say different things


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statement and what the trials say of it.

    matters: the smallest effect that matters, in words. why: of what is not decided: a ceiling, too few trials, a
    budget that is too short. blind: statement and smallest effect were both fixed before any trial of these settings.
    """

    statement: str
    verdict: Verdict
    numbers: str
    matters: str
    why: str = ""
    blind: bool = False


def verdict(checks: Sequence[Check]) -> Verdict:
    """What all checks say alike; partly shown where the rest is open; mixed where they differ."""
    found = {check.verdict for check in checks}
    if len(found) < 2:
        return next(iter(found), Verdict.NOT_DECIDED)
    return Verdict.PARTLY if found == {Verdict.SHOWN, Verdict.NOT_DECIDED} else Verdict.MIXED


def counts(checks: Sequence[Check]) -> str:
    """`3 shown, 1 not decided`, in the order of `Verdict`."""
    found = Counter(check.verdict for check in checks)
    return ", ".join(f"{found[each]} {each}" for each in Verdict if found[each])


Table: TypeAlias = list[dict[str, str]]
Judge: TypeAlias = Callable[[Results, float], Check]
"""A check before the trials are known; it takes the level of its intervals."""

Family: TypeAlias = Callable[[int], Point]
"""The point at a number of training sequences."""


LADDER = (8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096)
"""Numbers of training sequences that the bisection may try, a factor of sqrt 2 apart."""


def bisect(results: Results, family: Family) -> tuple[list[Point], int, int]:
    """Points asked for so far, the next one included, and where that leaves the bisection.

    Returns the points, and indices into LADDER: the largest that is known to fail (or -1), the smallest that works.
    A number of sequences generalizes where the median trial converges: test loss below .001 within the budget.
    """
    points: list[Point] = []
    fails, works = -1, len(LADDER)
    while works - fails > 1:
        middle = (fails + works) // 2
        points.append(family(LADDER[middle]))
        trials = results.of(points[-1])
        if not trials:
            break
        arrived = sum(record.get("steps_to_convergence") is not None for record in trials)
        fails, works = (fails, middle) if 2 * arrived >= len(trials) else (middle, works)
    return points, fails, works


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure, table or theorem of the paper.

    id: as on the command line. claim: what the paper says. setting: what is ours in how it was run. points: what to
    run. families: bisections that decide what else to run from what is known. checks: what is asked of the trials.
    draw: the figure. trajectories: columns of the usual table, title -> name of a trajectory. table: another table.
    known: whether we know what the paper's figure shows; otherwise what we found is a measurement, no verdict on it.
    ours: the claim is our own. needs: what of `points` must have run before the experiment is written up; all of them
    unless some are named.
    """

    id: str
    title: str
    claim: str
    setting: str
    points: Sequence[Point]
    checks: Sequence[Judge]
    draw: Callable[[Results, Sequence[Point]], Figure | None]
    families: Mapping[str, Family] = field(default_factory=dict)
    trajectories: Mapping[str, str] = field(default_factory=dict)
    table: Callable[[Results], Table] | None = None
    known: bool = True
    ours: bool = False
    needs: Sequence[Point] | None = None

    @property
    def level(self) -> float:
        """Of its intervals: 95% for all of its checks together (Bonferroni)."""
        return 1 - 0.05 / max(1, len(self.checks))

    @property
    def needed(self) -> Sequence[Point]:
        """What must have run before it is written up."""
        return self.points if self.needs is None else self.needs

    def ran(self, results: Results) -> bool:
        """Whether there is enough to write up."""
        return all(map(results.of, self.needed))

    def asked(self, results: Results) -> list[Point]:
        """What to run, given what is known so far."""
        return [*self.points, *(p for family in self.families.values() for p in bisect(results, family)[0])]

    def judge(self, results: Results) -> list[Check]:
        """All checks."""
        return [check(results, self.level) for check in self.checks]

    def rows(self, results: Results) -> Table:
        """Its table: one row per point with trials, both end points, test accuracy, last values of trajectories."""
        if self.table is not None:
            return self.table(results)
        return [
            {
                **{name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in p.facts},
                "trials": str(len(results.of(p))),
                "epochs to loss < .001": median_text(results.steps(p)),
                "mean of those": mean_text(results.steps(p)),
                "epochs to accuracy .99": median_text(results.steps(p, "steps_to_threshold")),
                "test accuracy": mean_of(results.values(p, "test_accuracy")),
                **{title: mean_of(results.at(p, name), ".2f") for title, name in self.trajectories.items()},
            }
            for p in results.known(self.points)
        ]


def mean_text(median: Median) -> str:
    """The mean over trials that arrived, as the paper averages."""
    return "" if median.mean_reached is None else f"{median.mean_reached:,.0f}"


def mean_of(values: Sequence[float], form: str = ".3f") -> str:
    """Mean and 95% t interval."""
    return interval_text(mean_interval(values), form)
