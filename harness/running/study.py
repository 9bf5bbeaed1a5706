"""The runs of a study: the rates that its tuning begins with, and its final runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.registry.cells import Cell, LrSelection, Run, protocol_of
from harness.registry.study import Study


def tuning_rates(study: Study) -> dict[Cell, list[float]]:
    """The learning rates that each cell tries: the study's, or multiples of its protocol's, the same for cells of one
    protocol.
    """
    rates = {}
    for cell in study.cells:
        protocol = protocol_of(cell)
        multiples = (float(f"{protocol.learning_rate * factor:.3g}") for factor in protocol.tuning_factors)
        rates[cell] = list(study.rates or multiples)
    return rates


def final_runs(study: Study, cells: Sequence[Cell], tried: Mapping[Cell, Sequence[float]] | None = None) -> list[Run]:
    """Every seed of the study's cells, at the rates that `cells` have.

    Which rates were tried is part of what a final run is: it stands in its key and beside its score.

    Args:
        tried: by the cell that was asked for, where the grid was extended.
    """
    rates = {**tuning_rates(study), **(tried or {})} if study.tune else {}
    seeds = len(study.tuning_seeds)
    return [
        Run(
            cell=cell,
            seed=seed,
            device=study.device,
            dtype=study.dtype,
            lr_selection=LrSelection(rates=tuple(rates[asked]), seeds=seeds) if study.tune else None,
        )
        for asked, cell in zip(study.cells, cells, strict=True)
        for seed in study.seeds
    ]


def runs_a_cell(study: Study) -> tuple[int, int]:
    """Tuning runs and final runs of each cell; where grids grow or rates are dropped, those of the grid as it is."""
    rates = len(next(iter(tuning_rates(study).values()))) if study.tune else 0
    return rates * len(study.tuning_seeds), len(study.seeds)
