"""Adding seeds until every declared comparison is decided, and only to those that are still open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.analysis.many_to_one import above_chance
from harness.analysis.scores import chance_of, scores_of
from harness.analysis.sequential import Sequential, decide, fewest_seeds, seeds_expected
from harness.registry.cells import Cell
from harness.registry.study import Study
from harness.store.record import Record
from harness.store.store import Store

from .declared import Decided, Declared, comparisons_of
from .request import Decide
from .runner import Runner
from .study import final_runs

ROUND_SECONDS = 30.0
"""So much work is given to the workers at once where a seed takes less: starting them takes seconds."""

ENOUGH_TO_FORECAST = 3
"""Pairs of seeds in the store from which the rest is foretold."""

Known: TypeAlias = Mapping[Cell, Sequence[Record]]
"""Final runs that there are, by the cell that was asked for."""


def stored(
    store: Store, study: Study, cells: Sequence[Cell], tried: Mapping[Cell, Sequence[float]] | None = None
) -> dict[Cell, list[Record]]:
    """Records of the study's final runs that the store has, by the cell that was asked for.

    Args:
        cells: the study's, at the rates chosen for them. tried: as for `final_runs`.
    """
    found = {}
    for asked, cell in zip(study.cells, cells, strict=True):
        keys = [run.key for run in final_runs(replace(study, cells=[asked]), [cell], tried)]
        records = store.find_many(keys)
        found[asked] = [records[key] for key in keys if key in records]
    return found


def differences_of(one: Declared, known: Known) -> list[float]:
    """Second minus first by seed, in the order of the seeds; a seed without a score on either side is left out."""
    first, second = (scores_of(known.get(cell, ())) for cell in (one.first, one.second))
    return [second[seed] - first[seed] for seed in sorted(first) if seed in second]


def forecast(declared: Sequence[Declared], known: Known, rule: Decide) -> str:
    """What it will probably take until all is decided, in words, a line a comparison."""
    lines, level, most = [], rule.alpha / len(declared), rule.max_seeds
    for one in declared:
        differences = differences_of(one, known)
        answer = decide(differences, margin=rule.margin, level=level)
        if answer.decided or len(differences) >= most:
            lines.append(f"{one.name}: {answer.decision} after {answer.seeds} seeds, all there")
        elif len(differences) < ENOUGH_TO_FORECAST:
            few = min(most, fewest_seeds(level))
            lines.append(f"{one.name}: from {few} to {most} seeds; too few are in the store to tell")
        else:
            there = len(differences)
            expected, share = seeds_expected(
                differences, margin=rule.margin, level=level, most=most, at_least=there + 1
            )
            seconds = sum(_run_seconds(known[cell]) for cell in (one.first, one.second)) * max(0, expected - there)
            cost = f", about {seconds / 60:.1f} min of processor time more" if seconds else ""
            lines.append(f"{one.name}: about {expected} seeds{cost}; decided by {most} with probability {share:.2f}")
    return "\n".join(lines)


@dataclass(kw_only=True)
class Deciding:
    """A study whose seeds are added as they are needed.

    study: all cells, and all seeds that may be used, in order. cells: the study's, at the rates chosen for them. say:
    hears lines for people now and then.
    """

    runner: Runner
    study: Study
    cells: Sequence[Cell]
    rule: Decide
    say: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.declared = comparisons_of(self.study.cells, self.rule.by)
        self.level = self.rule.alpha / len(self.declared)
        self._tuned = dict(zip(self.study.cells, self.cells, strict=True))
        self._found: dict[Cell, list[Record]] = {cell: [] for cell in self.study.cells}
        self._closed: dict[Declared, str] = {}
        self._there: set[tuple[Cell, int]] = set()

    def decide(self) -> list[Decided]:
        """Run what is needed and missing; returns an answer for every declared comparison, in order."""
        started = time.monotonic()
        seeds, used = list(self.study.seeds), 0
        known = {} if self.runner.overwrite else stored(self.runner.store, self.study, self.cells, self.runner.tried)
        self._there = {(cell, record["seed"]) for cell, records in known.items() for record in records}
        self.say(forecast(self.declared, known, self.rule))
        while used < len(seeds) and (open_ := self._open()):
            count = min(len(seeds) - used, self._round(open_, used))
            elapsed = time.monotonic() - started
            if elapsed + self._seconds(open_, seeds[used : used + count]) > self.rule.budget_seconds:
                self._closed |= dict.fromkeys(open_, f"budget of {self.rule.budget} spent")
                break
            self._run(open_, seeds[used : used + count])
            used += count
            for one in open_:
                if not differences_of(one, self._found):
                    self._closed[one] = "no pair of seeds has scores"
            if used == count and self._open() and not all(map(known.get, self.study.cells)):
                self.say(forecast(self._open(), self._found, self.rule))
        return [self._decided(one) for one in self.declared]

    def _open(self) -> list[Declared]:
        return [one for one in self.declared if one not in self._closed and not self._answer(one).decided]

    def _run(self, open_: Sequence[Declared], seeds: Sequence[int]) -> None:
        asked = list(dict.fromkeys(cell for one in open_ for cell in (one.first, one.second)))
        study = replace(self.study, cells=asked, seeds=seeds)
        records = self.runner.run(study, [self._tuned[cell] for cell in asked])
        for number, cell in enumerate(asked):
            self._found[cell] += records[number * len(seeds) : (number + 1) * len(seeds)]

    def _round(self, open_: Sequence[Declared], used: int) -> int:
        """How many seeds are done before the next look; the answer is that of a look after every one."""
        if not used:
            return fewest_seeds(self.level)
        seconds = self._seconds(open_, [-1])
        return max(1, min(used // 2, round(ROUND_SECONDS / seconds) if seconds else used))

    def _seconds(self, open_: Sequence[Declared], seeds: Sequence[int]) -> float:
        """What these seeds will take on the clock, as far as is known; nothing where the store has them."""
        workers = max(1, getattr(self.runner.executor, "workers", 1) or 1)
        cells = {cell for one in open_ for cell in (one.first, one.second)}
        missing = {cell: sum((cell, seed) not in self._there for seed in seeds) for cell in cells}
        return sum(count * _run_seconds(self._found[cell]) for cell, count in missing.items()) / workers

    def _answer(self, one: Declared) -> Sequential:
        return decide(differences_of(one, self._found), margin=self.rule.margin, level=self.level)

    def _decided(self, one: Declared) -> Decided:
        records = [*self._found[one.first], *self._found[one.second]]
        seconds = sum(record.get("run_seconds") or 0.0 for record in records)
        return Decided(
            declared=one,
            answer=self._answer(one),
            runs=len(records),
            seconds=seconds,
            reason=self._closed.get(one, ""),
            at_chance=not any(_learned(self._found[cell]) for cell in (one.first, one.second)),
        )


def _learned(records: Sequence[Record]) -> bool:
    """Whether a cell is above chance, or that is not known."""
    scores = list(scores_of(records).values())
    chance = chance_of(records) if scores else math.nan
    return math.isnan(chance) or above_chance(scores, chance)


def _run_seconds(records: Sequence[Record]) -> float:
    seconds = [record.get("run_seconds") or 0.0 for record in records]
    return sum(seconds) / len(seconds) if seconds else 0.0
