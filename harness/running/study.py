"""The runs of a study: tuning runs, the rates they choose, final runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.registry.cells import TUNING, Cell, LrSelection, Run, protocol_of
from harness.registry.study import Study
from harness.store.record import Record

WORST_SCORE = -1e6
"""Of a trial that did not finish."""


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


def tuning_runs(study: Study) -> list[Run]:
    """Every rate of every cell on the tuning seeds."""
    return [
        trial
        for cell, rates in tuning_rates(study).items()
        for rate in rates
        for trial in _trials(study, cell.with_learning_rate(rate))
    ]


def best_cells(study: Study, records: Mapping[str, Record]) -> list[Cell]:
    """The study's cells, each at its best rate, once all tuning runs have a record: the one with the best mean
    validation score on the tuning seeds, the smaller rate on a tie.

    The score is validation accuracy, or what the protocol's record names `validation_score`.
    """

    def score(cell: Cell) -> float:
        found = [records[trial.key] for trial in _trials(study, cell)]
        scores = [record.get("validation_score", record.get("validation_accuracy")) for record in found]
        return sum(WORST_SCORE if score is None else score for score in scores) / len(scores)

    rates = tuning_rates(study)
    return [max(map(cell.with_learning_rate, sorted(rates[cell])), key=score) for cell in study.cells]


def _trials(study: Study, cell: Cell) -> list[Run]:
    return [
        Run(cell=cell, seed=seed, device=study.device, dtype=study.dtype, purpose=TUNING) for seed in study.tuning_seeds
    ]


def final_runs(study: Study, cells: Sequence[Cell]) -> list[Run]:
    """Every seed of the study's cells, at the rates that `cells` have.

    Which rates were tried is part of what a final run is: it stands in its key and beside its score.
    """
    rates = tuning_rates(study) if study.tune else {}
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
    """Tuning runs and final runs of each cell."""
    rates = len(next(iter(tuning_rates(study).values()))) if study.tune else 0
    return rates * len(study.tuning_seeds), len(study.seeds)
