"""The few kinds of evidence that checks rest on; each is a check that waits for the trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.analysis.censored import PowerLaw, fit_power_law
from harness.analysis.statistics import mean_interval
from harness.registry.cells import protocol_of
from harness.store.record import Record

from ..text import interval_text, span
from .experiment import Check, Judge, Point, Results, Verdict

Values: TypeAlias = Callable[[Results], Sequence[float]]


def last(p: Point, name: str) -> Values:
    """The last value of a recorded trajectory, trial by trial."""
    return lambda results: results.at(p, name)


def column(p: Point, name: str = "test_accuracy") -> Values:
    """One column of the trials."""
    return lambda results: results.values(p, name)


def mean(*parts: Values) -> Values:
    """The mean of several, trial by trial."""
    return lambda results: [sum(each) / len(each) for each in zip(*(part(results) for part in parts), strict=True)]


CEILING = 0.995
"""Accuracies that are all at least this high differ by nothing that these tests could tell."""

FEW = "too few trials"


def weigh(low: float, high: float, by: float) -> Verdict:
    """An interval of an effect that is claimed to be positive, against the smallest that matters.

    shown: all of it lies above `by`. contradicted: all of it lies below -by. too small to matter: all of it lies
    between. Everything else is not decided.
    """
    assert by > 0
    if low > by:
        return Verdict.SHOWN
    if high < -by:
        return Verdict.CONTRADICTED
    return Verdict.TOO_SMALL if -by <= low and high <= by else Verdict.NOT_DECIDED


def lies(
    values: Values, statement: str, *, above: float = -math.inf, below: float = math.inf, blind: bool = False
) -> Judge:
    """The mean lies within (above, below): shown where its whole interval does, contradicted where none of it does."""
    bounds = {f"above {above:g}": above, f"below {below:g}": below}
    matters = " and ".join(text for text, bound in bounds.items() if math.isfinite(bound))

    def judge(results: Results, level: float = 0.95) -> Check:
        found = values(results)
        told = _undecided(statement, matters, blind, f"{len(found)} trials")
        if len(found) < 2:
            return told
        interval = mean_interval(found, level)
        told = replace(told, numbers=f"{interval_text(interval)}, n={interval.n}")
        if above < interval.low and interval.high < below:
            return replace(told, verdict=Verdict.SHOWN, why="")
        outside = interval.high <= above or interval.low >= below
        return replace(told, verdict=Verdict.CONTRADICTED, why="") if outside else told

    return judge


def exceeds(
    first: Values, second: Values, statement: str, *, by: float, accuracy: bool = False, blind: bool = False
) -> Judge:
    """First - second, paired trial by trial, against the smallest difference that matters.

    accuracy: nothing is decided where all trials of both lie at the ceiling.
    """

    def judge(results: Results, level: float = 0.95) -> Check:
        a, b = first(results), second(results)
        told = _undecided(statement, f"{by:g}", blind, f"{len(a)} and {len(b)} trials")
        if len(a) != len(b) or len(a) < 2:
            return told
        interval = mean_interval([x - y for x, y in zip(a, b, strict=True)], level)
        told = replace(told, numbers=f"{interval_text(interval, '+.3f')}, n={interval.n}")
        if accuracy and min(*a, *b) >= CEILING:
            return replace(told, why="both at the ceiling")
        found = weigh(interval.low, interval.high, by)
        return replace(told, verdict=found, why=told.why if found is Verdict.NOT_DECIDED else "")

    return judge


def above(values: Values, level_asked: float, statement: str, *, blind: bool = False) -> Judge:
    """The mean exceeds 0 by what matters; below 0 it counts as much against it."""
    return exceeds(values, lambda results: [0.0] * len(values(results)), statement, by=level_asked, blind=blind)


def below(values: Values, level_asked: float, statement: str, *, blind: bool = False) -> Judge:
    """The mean falls below 0 by what matters."""
    return exceeds(lambda results: [0.0] * len(values(results)), values, statement, by=level_asked, blind=blind)


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Trials on their way to an end point, as a fit takes them: None and the budget where one did not arrive.

    points: of each trial. before: the last look at which a trial was not there yet.
    """

    points: list[Point]
    steps: list[float | None]
    before: list[float]
    budgets: list[float]


End: TypeAlias = Callable[[Record, Point], tuple[float, float] | None]
"""The last look before a trial's end point and the first at it; None where it did not arrive."""


def end_column(name: str = "steps_to_convergence") -> End:
    """An end point that records have a column for."""

    def end(record: Record, p: Point) -> tuple[float, float] | None:
        step = record.get(name)
        return None if step is None else (step - getattr(protocol_of(p.cell), "evaluate_every", 0), step)

    return end


to_convergence = end_column()
"""To a test loss below .001."""


def end_loss(level: float) -> End:
    """To a test loss of at most `level`, read off the stored curve."""

    def end(record: Record, p: Point) -> tuple[float, float] | None:
        curve = record.get("curve") or {"step": [], "test_loss": []}
        looks = list(zip(curve["step"], curve["test_loss"], strict=True))
        index = next((i for i, (_, loss) in enumerate(looks) if loss <= level), None)
        return None if index is None else (looks[max(0, index - 1)][0], looks[index][0])

    return end


to_half = end_loss(0.5)


def arrivals(results: Results, points: Sequence[Point], end: End = to_convergence) -> Arrivals:
    """All trials of points; one that did not run to its end did not arrive."""
    rows = [(p, record) for p in points for record in results.of(p)]
    found = [end(record, p) for p, record in rows]
    return Arrivals(
        points=[p for p, _ in rows],
        steps=[None if each is None else each[1] for each in found],
        before=[0.0 if each is None else each[0] for each in found],
        budgets=[max(1.0, record.get("step_budget") or 1) for _, record in rows],
    )


def fit(
    results: Results, points: Sequence[Point], factors: Sequence[str], end: End = to_convergence, level: float = 0.95
) -> PowerLaw | None:
    """The power law over the trials of points; None where too few have arrived."""
    known = arrivals(results, points, end)
    values: dict[str, list[float]] = {name: [p.get(name) for p in known.points] for name in factors}
    try:
        return fit_power_law(values, known.steps, known.budgets, before=known.before, level=level)
    except ValueError:
        return None


def trend(
    points: Sequence[Point], fact: str, statement: str, *, falls: bool = False, name: str = "steps_to_convergence",
    by: float = 1.25, blind: bool = False,
) -> Judge:  # fmt: skip
    """Steps to an end point rise (or fall) with a fact: by what factor from the first of the points to the last.

    The factor comes from a power law in the fact (in exp(fact) where it is not positive throughout) that knows of the
    trials beyond their budget. by: the smallest factor that matters.
    """
    facts = [p.get(fact) for p in points]
    positive = min(facts) > 0
    reach = math.log(max(facts) / min(facts)) if positive else max(facts) - min(facts)
    named = [replace(p, facts=(("x", p.get(fact) if positive else math.exp(p.get(fact))),)) for p in points]
    matters = f"a factor of {by:g} over the range"

    def judge(results: Results, level: float = 0.95) -> Check:
        known = arrivals(results, named, end_column(name))
        late = sum(step is None for step in known.steps)
        told = _undecided(statement, matters, blind, f"{len(known.steps)} trials")
        law = fit(results, named, ["x"], end_column(name), level)
        if law is None:
            return replace(told, why="budget too short") if late > len(known.steps) / 2 else told
        exponent = law.exponents["x"]
        middle, lowest, highest = (reach * value for value in (exponent.value, exponent.low, exponent.high))
        factor = span(math.exp(middle), math.exp(lowest), math.exp(highest), ".3g")
        numbers = f"a factor of {factor} over the range, {len(known.steps)} trials"
        if late:
            numbers += f", {late} beyond the budget"
        low, high = (-highest, -lowest) if falls else (lowest, highest)
        found = weigh(low, high, math.log(by))
        return replace(told, verdict=found, numbers=numbers, why=told.why if found is Verdict.NOT_DECIDED else "")

    return judge


def _undecided(statement: str, matters: str, blind: bool, numbers: str) -> Check:
    return Check(
        statement=statement, verdict=Verdict.NOT_DECIDED, numbers=numbers, matters=matters, why=FEW, blind=blind
    )
