"""What an experiment is: settings to run, checks stated beforehand, a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.cells import UNTUNED, Cell, cell_from
from harness.censored import Median, censored_median
from harness.record import Record
from harness.summary import without_rate

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

    def __init__(self, records: Iterable[Record]):
        self._by_cell: dict[tuple[object, ...], list[Record]] = {}
        for record in records:
            self._by_cell.setdefault(_place(record), []).append(record)

    def of(self, point: Point) -> list[Record]:
        """Records of a point's trials, by seed, whatever their outcome."""
        cell = point.cell
        protocol = without_rate(cell.protocol) if point.tune else cell.protocol
        found = self._by_cell.get((cell.task, cell.architecture, cell.scan, protocol, point.tune), [])
        return sorted(found, key=lambda record: record["seed"])

    def done(self, point: Point) -> list[Record]:
        """Records of the trials that ran to their end."""
        return [record for record in self.of(point) if record["status"] == "done"]

    def values(self, point: Point, name: str) -> list[Any]:
        """One column of the trials that ran to their end."""
        return [record[name] for record in self.done(point)]

    def steps(self, point: Point, name: str = "steps_to_convergence") -> Median:
        """Median steps to an end point; a run that did not finish did not arrive."""
        return censored_median([record.get(name) for record in self.of(point)])

    def last(self, point: Point, name: str) -> list[float]:
        """The last value of a recorded trajectory, trial by trial."""
        return [record["curve"][name][-1] for record in self.done(point) if name in record["curve"]]

    def known(self, points: Iterable[Point]) -> list[Point]:
        """Those points of which there are trials."""
        return [point for point in points if self.done(point)]


def _place(record: Record) -> tuple[object, ...]:
    tuned = record["selection"] != UNTUNED
    protocol = without_rate(record["protocol"]) if tuned else record["protocol"]
    return record["task"], record["architecture"], record["scan"], protocol, tuned


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statement that the trials either bear out or not. holds: None where too little ran to tell."""

    statement: str
    holds: bool | None
    numbers: str


def verdict(checks: Sequence[Check]) -> str:
    """shown: every check holds. partly: some do. not shown: none does. Checks that cannot be told yet: not decided."""
    if not checks or any(check.holds is None for check in checks):
        return "not decided"
    held = sum(bool(check.holds) for check in checks)
    return "shown" if held == len(checks) else "partly" if held else "not shown"


Table = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure, table or theorem of the paper.

    id: as on the command line. claim: what the paper says. setting: what is ours in how it was run.
    points: what to run, given what is known so far; asked again until it asks for nothing new.
    judge: the checks, whose statements were written before the runs. table: the numbers. draw: the figure.
    """

    id: str
    title: str
    claim: str
    setting: str
    points: Callable[[Results], list[Point]]
    judge: Callable[[Results], list[Check]]
    table: Callable[[Results], Table]
    draw: Callable[[Results, Figure], None]


def columns(results: Results, points: Sequence[Point], *, trajectories: Mapping[str, str] | None = None) -> Table:
    """The usual table: a row a point with trials, both end points, test accuracy, and last values of trajectories.

    Args:
        trajectories: column title -> name of a recorded trajectory.
    """
    rows = []
    for p in results.known(points):
        row = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in p.facts}
        row |= {
            "trials": str(len(results.of(p))),
            "epochs to loss < .001": text_of(results.steps(p)),
            "mean of those": mean_text(results.steps(p)),
            "epochs to accuracy .99": text_of(results.steps(p, "steps_to_threshold")),
            "test accuracy": interval_text(results.values(p, "test_accuracy")),
        }
        for title, name in (trajectories or {}).items():
            row[title] = interval_text(results.last(p, name), digits=2)
        rows.append(row)
    return rows


def text_of(median: Median) -> str:
    """Median with its interval and how many arrived: "120 [90, 150], 10 of 10"."""

    def number(value: float) -> str:
        return "never" if value == float("inf") else f"{value:,.0f}"

    if not median.reached:
        return f"0 of {median.n}"
    return f"{number(median.value)} [{number(median.low)}, {number(median.high)}], {median.reached} of {median.n}"


def mean_text(median: Median) -> str:
    """The mean over trials that arrived, as the paper averages."""
    return "" if median.mean_reached is None else f"{median.mean_reached:,.0f}"


def interval_text(values: Sequence[float], digits: int = 3) -> str:
    """Mean and 95% t interval."""
    from harness.statistics import mean_interval

    if not values:
        return ""
    interval = mean_interval(values)
    if len(values) < 2:
        return f"{interval.mean:.{digits}f}"
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
