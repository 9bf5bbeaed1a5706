"""What is run for the claims, and which records are theirs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.analysis.summary import without_rate
from harness.contracts.errors import UserError, nearest
from harness.registry.cells import FINAL, REGISTRIES, Cell, LrSelection, cell_from, parse_spec
from harness.registry.specs import format_spec
from harness.registry.study import Design, Study
from harness.store.record import Record

from .claim import COSTS, FOLDER, Claim, read_all

NAME = "known-answers"
TUNING_SEEDS = (1_000_000,)

QUICK = {
    "steps": "2", "epochs": "0", "train_samples": "0", "batch_size": "4", "validation_samples": "8",
    "test_samples": "8", "warmup": "0", "test_length": "none",
}  # fmt: skip
"""In place of the budget of a claim's protocol: to see that its cells run."""


_read = functools.cache(read_all)


def claims() -> dict[str, Claim]:
    """All that come with the harness, by their ids."""
    return _read(FOLDER)


def chosen(ids: Sequence[str], cost: str | None = None) -> list[Claim]:
    """The claims of these ids and of this cost; of those that run in minutes where neither is given.

    Raises:
        UserError: an id or a cost that is not known.
    """
    known = claims()
    for name in ids:
        if name not in known:
            raise UserError(f"known-answers: {name!r} is no claim; {nearest(name, list(known))}")
    if cost is not None and cost not in COSTS:
        raise UserError(f"--cost is one of {', '.join(COSTS)}, got {cost!r}; {nearest(cost, COSTS)}")
    cost = cost or (None if ids else COSTS[0])
    return [known[name] for name in ids or known if cost in (None, known[name].cost)]


def cells_of(claim: Claim) -> dict[str, Cell]:
    """The claim's cells by their names."""
    return {name: text.cell for name, text in claim.cells.items()}


def design(size: str, seeds: int | None, *, ids: Sequence[str] | None = None, cost: str | None = None) -> Design:
    """A study for the claims that share seeds and rates.

    Args:
        size: "quick" runs two steps of every cell with one seed, which no verdict uses. seeds: in place of the claims'
            own; fewer than a claim declares give it no verdict.

    Raises:
        UserError: an id or a cost that is not known, or files of a task that are not here; with the first stage.
    """
    groups: dict[tuple[int, tuple[float, ...]], list[Cell]] = {}
    for claim in chosen(ids or (), cost):
        found = list(cells_of(claim).values())
        for cell in found:
            if "root=" in cell.task:  # files that are not here are told before anything runs
                cell.check()
        if size == "quick":
            key, found = (seeds or 1, ()), [_shortened(cell) for cell in found]
        else:
            key = (seeds or claim.seeds, claim.rates)
        groups.setdefault(key, []).extend(found)
    for (count, rates), cells in groups.items():
        yield Study(
            cells=list(dict.fromkeys(cells)), seeds=range(count), tune=bool(rates), rates=rates,
            tuning_seeds=TUNING_SEEDS, timing=False,
        )  # fmt: skip


def _shortened(cell: Cell) -> Cell:
    spec = parse_spec(cell.protocol, axis="protocol")
    short = replace(spec, parameters={**spec.parameters, **QUICK})
    return cell_from(cell.task, cell.architecture, cell.scan, format_spec(short))


def describe(size: str) -> list[str]:
    """A line for each claim."""
    return [f"{each.id:<44} {each.cost:<8} {each.minutes:6.3g} min  {each.statement}" for each in claims().values()]


Key = tuple[Any, ...]


class Runs:
    """The records of claims' cells, whatever else there is. records: tuning runs too."""

    def __init__(self, records: Sequence[Mapping[str, Any]]):
        self._final: dict[Key, dict[int, Record]] = {}
        self._tuning: dict[Key, list[Record]] = {}
        for record in sorted(records, key=lambda each: str(each["started_at"])):  # the latest stays
            selection = LrSelection.from_record(record)
            if record["purpose"] != FINAL:
                self._tuning.setdefault(_key(record, True), []).append(dict(record))
            else:
                key = (*_key(record, selection is not None), selection and selection.rates)
                self._final.setdefault(key, {})[record["seed"]] = dict(record)

    def of(self, claim: Claim, cell: Cell) -> list[Record]:
        """A record for each seed of the claim's that has one, in the order of seeds."""
        key = (*_key(vars(cell), bool(claim.rates)), claim.rates or None)
        found = self._final.get(key, {})
        return [found[seed] for seed in range(claim.seeds) if seed in found]

    def tuning(self, claim: Claim, cell: Cell) -> list[Record]:
        """The runs that chose a cell's rate."""
        found = self._tuning.get(_key(vars(cell), True), ()) if claim.rates else ()
        return [record for record in found if record["learning_rate"] in claim.rates]


def _key(found: Mapping[str, Any], tuned: bool) -> Key:
    protocol = without_rate(found["protocol"]) if tuned else found["protocol"]
    return (*(found[axis] for axis in REGISTRIES if axis != "protocol"), protocol, tuple(found["versions"]))


@functools.cache
def _asked(folder: Path) -> frozenset[Key]:
    found = _read(folder).values()
    return frozenset(_key(vars(cell), bool(claim.rates)) for claim in found for cell in cells_of(claim).values())


def is_asked(record: Mapping[str, Any]) -> bool:
    """Whether a record is of a claim's cell, at one of its rates where they are chosen."""
    tuned = record["purpose"] != FINAL or LrSelection.from_record(record) is not None
    return _key(record, tuned) in _asked(FOLDER)
