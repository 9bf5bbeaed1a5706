"""All experiments in the order of the paper, and what is run for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.contracts.errors import UserError, nearest
from harness.registry.cells import Cell
from harness.registry.study import Design, Study

from . import architectures, gates, locality, majority, rates, regime, robustness, sizes, stacks, theorem2, ungated
from .experiment import Experiment, Results

TRIALS = {"quick": 10, "default": 100}

TUNING_SEEDS = (1_000_000,)
"""On which steps are chosen, five for each cell: a second one would take a tenth of all the time."""

ORDER = (
    "fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig11", "fig12", "fig13", "fig14", "fig15", "fig16", "fig17",
    "fig18", "table3", "thm1", "thm2", "gates", "sign", "regime", "robustness",
)  # fmt: skip

_MODULES = majority, locality, ungated, sizes, architectures, stacks, rates, theorem2, gates, regime, robustness
_FOUND = {
    experiment.id: experiment
    for module in (
        majority,
        locality,
        ungated,
        sizes,
        architectures,
        stacks,
        rates,
        theorem2,
        gates,
        regime,
        robustness,
    )
    for experiment in module.EXPERIMENTS
}
EXPERIMENTS: tuple[Experiment, ...] = tuple(_FOUND[name] for name in ORDER)


def chosen(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these ids, in the order of the paper; all of them where none is named.

    Raises:
        UserError: an id that is not known.
    """
    for name in names:
        if name not in _FOUND:
            raise UserError(f"paper: {name!r} is no experiment; {nearest(name, ORDER)}")
    return [experiment for experiment in EXPERIMENTS if not names or experiment.id in names]


def design(size: str, seeds: int | None, *, ids: Sequence[str] | None = None) -> Design:
    """Every point of the experiments, once; bisections are asked again after each stage, until none asks for more.

    They are told of these stages' trials only, whatever else a store holds.
    """
    experiments, trials = chosen(ids or ()), range(seeds or TRIALS[size])
    records: list[Mapping[str, Any]] = []
    asked: set[tuple[Cell, bool]] = set()
    while True:
        results = Results(records)
        wanted = dict.fromkeys((p.cell, p.tune) for experiment in experiments for p in experiment.asked(results))
        new = [one for one in wanted if one not in asked]
        if not new:
            return
        asked.update(new)
        for tune in (False, True):
            cells = [cell for cell, tuned in new if tuned == tune]
            if cells:
                records += yield Study(cells=cells, seeds=trials, tune=tune, tuning_seeds=TUNING_SEEDS, timing=False)


def describe(size: str) -> list[str]:
    """What each experiment is about, and how many final runs it takes before bisections go on."""
    cells = {each.id: len({p.cell for p in each.asked(Results([]))}) for each in EXPERIMENTS}
    return [f"{each.id:<11} {each.title}; {TRIALS[size] * cells[each.id]} runs" for each in EXPERIMENTS]
