"""Running the study: what the store does not have, then a timing session of all cells."""

from __future__ import annotations

from harness.executors import Training
from harness.progress import Progress
from harness.store import Store
from harness.study import Outcome, Study, run_study

from .study import TUNING_SEEDS, Plan

TOGETHER = 10
"""Seeds of a cell that train together on a GPU; on a CPU one a core is faster."""


def run_plan(
    plan: Plan, store: Store, *, workers: int, device: str, progress: Progress, fresh: bool = False
) -> list[Outcome]:
    """Run every cell with the plan's seeds, then the further seeds of the primary pair; returns both outcomes.

    Learning rates are tuned cell by cell, once; with `fresh` those of the primary pair twice, to the same end.
    """
    training = Training(replicas=min(plan.seeds, TOGETHER)) if device == "cuda" else Training()

    def run(cells, seeds: range, *, timing: bool) -> Outcome:
        study = Study(cells=cells, seeds=seeds, device=device, tune=True, tuning_seeds=TUNING_SEEDS, training=training)
        return run_study(study, store, workers=workers, fresh=fresh, timing=timing, progress=progress)

    outcomes = [run(plan.cells, range(plan.seeds), timing=True)]
    further = range(plan.seeds, plan.primary_seeds)
    if further and plan.primary:
        outcomes.append(run(plan.primary, further, timing=False))
    return outcomes
