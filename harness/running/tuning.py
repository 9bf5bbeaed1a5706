"""Choosing learning rates: a grid for every cell, extended while its best stands at an edge, halved seed by seed.

Plain tuning does every rate on every tuning seed and takes the best mean validation score. Two options change that, by
rules that are the same for all cells:

- `extend`: while the best is the smallest or the largest rate tried, and better than its neighbour, the grid grows by
  one rate beyond it, in the grid's own factor, at most `FARTHEST` times a side. Of rates that are equally good the
  middle one is taken.
- `halving`: rates are tried on one seed, then on twice as many and so on; after each such rung the better half goes on,
  never fewer than two. (K. Jamieson and A. Talwalkar, arXiv 1502.07943, with seeds as the budget.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from harness.registry.cells import TUNING, Cell, Run
from harness.registry.study import Study
from harness.store.record import Record

from .study import tuning_rates

WORST_SCORE = -1e6
"""Of a trial that did not finish."""

FARTHEST = 4
"""So many rates are added beyond an edge at most."""

SMALLEST, LARGEST = 1e-7, 10.0
"""Rates that a protocol may have."""

Trial: TypeAlias = tuple[float, int]
"""A rate and a seed."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What came of one cell's search. rate: the best. tried: all rates, in the grid's order, those added behind it.

    means, counts: mean score of each rate tried and on how many seeds, in rising order of the rates.
    """

    rate: float
    tried: tuple[float, ...]
    means: dict[float, float]
    counts: dict[float, int]


def search(
    rates: Sequence[float], seeds: Sequence[int], *, extend: bool = False, halving: bool = False
) -> Generator[list[Trial], Mapping[Trial, float], Search]:
    """Yields trials that are wanted and is sent their scores, until it returns what it found."""
    tried, alive = list(rates), sorted(rates)
    scores: dict[Trial, float] = {}
    means: dict[float, float] = {}
    sides = [0, 0]
    last = 0.0
    for rung in _rungs(len(seeds)) if halving else [len(seeds)]:
        growing = True
        while growing:
            wanted = [(rate, seed) for rate in alive for seed in seeds[:rung] if (rate, seed) not in scores]
            if wanted:
                scores |= yield wanted
            means = {rate: sum(scores[rate, seed] for seed in seeds[:rung]) / rung for rate in alive}
            last = _best(means, middle=extend)
            more = _beyond(last, tried, len(rates), means, sides) if extend else None
            growing = more is not None
            if more is not None:
                tried.append(more)
                alive = sorted([*alive, more])
        if rung < len(seeds):
            kept = sorted(alive, key=lambda rate: (-means[rate], rate))[: max(2, math.ceil(len(alive) / 2))]
            alive = sorted(kept)
    by_rate = {rate: [scores[rate, seed] for seed in seeds if (rate, seed) in scores] for rate in sorted(tried)}
    return Search(
        rate=last,
        tried=tuple(tried),
        means={rate: sum(found) / len(found) for rate, found in by_rate.items()},
        counts={rate: len(found) for rate, found in by_rate.items()},
    )


def _rungs(seeds: int) -> list[int]:
    """1, 2, 4 and so on, up to all of them."""
    return [min(2**power, seeds) for power in range(math.ceil(math.log2(seeds)) + 1)]


def _best(means: Mapping[float, float], *, middle: bool) -> float:
    """The rate of the best mean; of several the smallest, or the one in their middle."""
    best = max(means.values())
    alike = sorted(rate for rate, mean in means.items() if mean == best)
    return alike[(len(alike) - 1) // 2] if middle else alike[0]


def _beyond(
    best: float, tried: Sequence[float], grid: int, means: Mapping[float, float], sides: list[int]
) -> float | None:
    """The rate beyond the edge at which the best stands, or None where it does not or is far enough out."""
    ordered = sorted(tried)
    initial = sorted(tried[:grid])
    factor = (initial[-1] / initial[0]) ** (1 / (grid - 1)) if grid > 1 else 2.0
    for side, edge, neighbour, beyond in (
        (0, ordered[0], ordered[1:2], ordered[0] / factor),
        (1, ordered[-1], ordered[-2:-1], ordered[-1] * factor),
    ):
        better = all(means[best] > means.get(other, -math.inf) for other in neighbour)
        beyond = float(f"{beyond:.3g}")
        if best == edge and better and sides[side] < FARTHEST and SMALLEST <= beyond <= LARGEST:
            sides[side] += 1
            return beyond
    return None


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What came of a study's tuning.

    cells: the study's, in its order, each at its best rate. rates: tried, by the cell that was asked for. curves: what
    the records of a tuned cell's final runs keep, by the key of the tuned cell.
    """

    cells: list[Cell]
    rates: dict[Cell, tuple[float, ...]]
    curves: dict[str, dict[str, Any]]


def tuning(study: Study) -> Generator[list[Run], Mapping[str, Record], Tuned]:
    """The search of every cell of a study, side by side: yields runs and is sent their records by key."""
    searches = {
        cell: search(rates, study.tuning_seeds, extend=study.extend, halving=study.halving)
        for cell, rates in tuning_rates(study).items()
    }
    found: dict[Cell, Search] = {}
    seen: dict[Cell, dict[str, Record]] = {cell: {} for cell in searches}
    wanted = {cell: next(each) for cell, each in searches.items()}
    while wanted:
        runs = {cell: {trial: _run(study, cell, trial) for trial in trials} for cell, trials in wanted.items()}
        records = yield [run for each in runs.values() for run in each.values()]
        wanted = {}
        for cell, each in runs.items():
            seen[cell] |= {run.key: records[run.key] for run in each.values()}
            scores = {trial: _score(records[run.key]) for trial, run in each.items()}
            try:
                wanted[cell] = searches[cell].send(scores)
            except StopIteration as end:
                found[cell] = end.value
    cells = [cell.with_learning_rate(found[cell].rate) for cell in study.cells]
    curves = {
        tuned.key: _curve(found[asked], list(seen[asked].values()))
        for asked, tuned in zip(study.cells, cells, strict=True)
    }
    return Tuned(cells=cells, rates={cell: each.tried for cell, each in found.items()}, curves=curves)


def _run(study: Study, cell: Cell, trial: Trial) -> Run:
    rate, seed = trial
    return Run(cell=cell.with_learning_rate(rate), seed=seed, device=study.device, dtype=study.dtype, purpose=TUNING)


def _score(record: Record) -> float:
    """Validation accuracy, or what the protocol's record names `validation_score`."""
    found = record.get("validation_score", record.get("validation_accuracy"))
    return WORST_SCORE if found is None else float(found)


def _curve(found: Search, records: Sequence[Record]) -> dict[str, Any]:
    means = [None if mean < 0 else mean for mean in found.means.values()]
    cost = {"runs": len(records), "seconds": sum(record.get("run_seconds") or 0.0 for record in records)}
    return {"rates": list(found.means), "scores": means, "seeds": list(found.counts.values()), **cost}


def tune_with(study: Study, find: Callable[[list[Run]], Mapping[str, Record]]) -> Tuned | list[Run]:
    """The end of the search; or, where `find` does not have all records that it comes to, the runs that are missing."""
    steps = tuning(study)
    try:
        runs = next(steps)
        while True:
            records = find(runs)
            missing = [run for run in dict.fromkeys(runs) if run.key not in records]
            if missing:
                return missing
            runs = steps.send(records)
    except StopIteration as end:
        return end.value
