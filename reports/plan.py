"""A study that has a page of its own: its cells and seeds, and running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cells import Cell
from harness.execution import Execution
from harness.executors import Training
from harness.progress import Progress
from harness.protocols.standard import Standard
from harness.store import Store
from harness.study import Outcome, Study, run_study
from harness.summary import PRIMARY

from .words import counted

TUNING_SEEDS = (1_000_000,)

TOGETHER = 10
"""Seeds of a cell that train together on a GPU; on a CPU one a core is faster."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells and how many seeds each gets.

    name: of the study. seeds: of every cell. primary_seeds: of those under an order of the declared primary pair, where
    they get more; 0 where they do not.
    """

    name: str
    cells: tuple[Cell, ...]
    seeds: int
    primary_seeds: int = 0

    @property
    def primary(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.scan in PRIMARY)

    @property
    def runs(self) -> int:
        return len(self.cells) * self.seeds + len(self.primary) * max(0, self.primary_seeds - self.seeds)

    @property
    def text(self) -> str:
        """The line that is printed before anything runs."""
        counts = [
            counted(len({getattr(cell, axis) for cell in self.cells}), noun)
            for axis, noun in (("task", "task"), ("architecture", "architecture"), ("scan", "order"))
        ]
        tuning = len(Standard.tuning_factors) * len(TUNING_SEEDS) * len(self.cells)
        return (
            f"{self.name}: {counted(len(self.cells), 'cell')} ({', '.join(counts)}), {tuning} tuning runs and"
            f" {self.runs} runs, those that the store has included"
        )


def run_plan(
    plan: Plan, store: Store, *, execution: Execution, device: str, progress: Progress, fresh: bool = False
) -> list[Outcome]:
    """Run every cell with the plan's seeds, then the further seeds of the primary pair; returns both outcomes.

    Learning rates are tuned cell by cell, once; with `fresh` those of the primary pair twice, to the same end.
    """
    training = Training(replicas=min(plan.seeds, TOGETHER)) if device == "cuda" else Training()
    executor = execution.executor(device, training, plugins=())

    def run(cells: Sequence[Cell], seeds: range, *, timing: bool) -> Outcome:
        study = Study(cells=cells, seeds=seeds, device=device, tune=True, tuning_seeds=TUNING_SEEDS, training=training)
        return run_study(study, store, executor=executor, fresh=fresh, timing=timing, progress=progress)

    outcomes = [run(plan.cells, range(plan.seeds), timing=True)]
    further = range(plan.seeds, plan.primary_seeds)
    if further and plan.primary:
        outcomes.append(run(plan.primary, further, timing=False))
    return outcomes
