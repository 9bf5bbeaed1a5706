"""Running experiments: every point that is wanted and not yet in the store, as one resumable study after another."""

from __future__ import annotations

from collections.abc import Sequence

from harness.executors import Training
from harness.progress import Progress
from harness.store import Store
from harness.study import Outcome, Study, run_study

from .experiment import Experiment, Point, Results

TOGETHER = 25
"""Trials of a point that train together on a GPU; on a CPU one a core is faster."""


def run_experiments(
    experiments: Sequence[Experiment], store: Store, *, trials: int, workers: int, device: str, progress: Progress
) -> list[Outcome]:
    """Run `trials` seeds of every point, until no experiment asks for more; returns what each study came to.

    Points that several experiments share run once. Experiments that decide what to run next from what is known
    (bisections) are asked again after each round.
    """
    training = Training(replicas=min(trials, TOGETHER)) if device == "cuda" else Training()
    outcomes: list[Outcome] = []
    asked: set[Point] = set()
    while True:
        results = Results(_first(store.records(), trials))
        wanted = [point for experiment in experiments for point in experiment.points(results)]
        new = [point for point in dict.fromkeys(wanted) if point not in asked]
        if not new:
            return outcomes
        asked.update(new)
        for tune in (False, True):
            cells = list(dict.fromkeys(point.cell for point in new if point.tune == tune))
            if cells:
                study = Study(cells=cells, seeds=range(trials), device=device, tune=tune, training=training)
                outcomes.append(run_study(study, store, workers=workers, timing=False, progress=progress))


def _first(records: list[dict], trials: int) -> list[dict]:
    """Only the seeds that this run asks for: a bisection must not depend on what else the store holds."""
    return [record for record in records if record["seed"] < trials]


def runs_of(experiments: Sequence[Experiment], trials: int) -> int:
    """How many final runs the experiments ask for at the start, before bisections go on and steps are tuned."""
    empty = Results([])
    return trials * len({point.cell for experiment in experiments for point in experiment.points(empty)})
