"""Running experiments: every point that is wanted and not yet in the store, as one resumable study after another."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cells import Cell
from harness.executors import Training
from harness.progress import Progress
from harness.store import Store
from harness.study import Outcome, Study, run_study

from .experiment import Experiment, Results

TOGETHER = 25
"""Trials of a point that train together on a GPU; on a CPU one a core is faster."""

TUNING_SEEDS = (1_000_000,)
"""On which steps are chosen, five a cell: a second one would take a tenth of all the time."""


def run_experiments(
    experiments: Sequence[Experiment],
    store: Store,
    *,
    trials: int,
    workers: int,
    device: str,
    progress: Progress,
    fresh: bool = False,
) -> list[Outcome]:
    """Run `trials` seeds of every point, until no experiment asks for more; returns what each study came to.

    Points that several experiments share run once. Experiments that decide what to run next from what is known
    (bisections) are asked again after each round; they are told of this call's trials only, whatever else the store
    holds.
    """
    training = Training(replicas=min(trials, TOGETHER)) if device == "cuda" else Training()
    outcomes: list[Outcome] = []
    asked: set[tuple[Cell, bool]] = set()
    while True:
        results = Results(record for outcome in outcomes for record in outcome.records)
        wanted = dict.fromkeys((p.cell, p.tune) for experiment in experiments for p in experiment.points(results))
        new = [one for one in wanted if one not in asked]
        if not new:
            return outcomes
        asked.update(new)
        for tune in (False, True):
            cells = [cell for cell, tuned in new if tuned == tune]
            if cells:
                study = Study(
                    cells=cells, seeds=range(trials), device=device, tune=tune, tuning_seeds=TUNING_SEEDS,
                    training=training,
                )  # fmt: skip
                outcomes.append(run_study(study, store, workers=workers, fresh=fresh, timing=False, progress=progress))


def runs_of(experiments: Sequence[Experiment], trials: int) -> int:
    """How many final runs the experiments ask for at the start, before bisections go on and steps are tuned."""
    empty = Results([])
    return trials * len({point.cell for experiment in experiments for point in experiment.points(empty)})
