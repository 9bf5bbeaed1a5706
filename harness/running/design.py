"""Running the stages of a study that has a page of its own."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

from harness.registry.study import Design, ReadingStage, Study, TimingStage
from harness.store.store import Store

from .cost_estimate import total_seconds
from .execution import resolve_device
from .progress import Progress
from .request import Request
from .runner import Outcome, Runner, make_executor
from .study import final_runs, runs_a_cell

TOGETHER = 25
"""Seeds of a cell that train together on a GPU; on a CPU one a core is faster."""


def run_design(request: Request, design: Design, *, quiet: bool = True) -> Outcome:
    """Run stage after stage where and how the request says, never again what its store has.

    Args:
        request: its cells and seeds play no part; the stages have theirs.

    Raises:
        UserError: something asked for is wrong.
    """
    device = resolve_device(request.device, request.executor)
    execution = request.executor
    if device == "cuda" and "replicas" not in execution.model_fields_set:
        execution = execution.model_copy(update={"replicas": TOGETHER})
    stage = next(design, None)  # an option that cannot be is said before a store is made
    executor = make_executor(execution, device, request.plugins)
    with Store(request.store_path) as store:
        runner = Runner(store=store, executor=executor, progress=Progress(quiet=quiet), overwrite=request.overwrite)
        while stage is not None:
            records = []
            if isinstance(stage, Study):
                study = replace(stage, device=device, dtype=request.dtype)
                if not quiet:
                    print(f"{request.name}: {study_text(study)}{cost_text(study, store)}", file=sys.stderr)
                records = runner.study(study)
            elif isinstance(stage, TimingStage):
                runner.time(Study(cells=stage.cells, seeds=(), device=device, dtype=request.dtype), stage.cells)
            elif isinstance(stage, ReadingStage):
                runner.read(stage)
            try:
                stage = design.send(records)
            except StopIteration:
                stage = None
    return runner.outcome


def study_text(study: Study) -> str:
    """How much a study is, in a line, before anything of it runs."""
    nouns = {"task": "task", "architecture": "architecture", "scan": "order"}.items()
    counts = [counted(len({getattr(cell, axis) for cell in study.cells}), noun) for axis, noun in nouns]
    tuning, final = (count * len(study.cells) for count in runs_a_cell(study))
    tuned = f"{counted(tuning, 'tuning run')} and " if tuning else ""
    cells = f"{counted(len(study.cells), 'cell')} ({', '.join(counts)})"
    return f"{cells}, {tuned}{counted(final, 'run')}, those that the store has included"


MANY = 200
"""Runs to do from which on their cost is estimated before they start."""


def cost_text(study: Study, store: Store) -> str:
    """`; at most about 2.1 core-hours for 900 runs to do`: nothing where few are left."""
    cells = [cell for cell in study.cells for _ in study.seeds]
    runs = final_runs(study, study.cells)  # of a tuned cell at its own rate, which may not be the best: about as long
    known = store.find_many([run.key for run in runs])
    todo = Counter(cell for cell, run in zip(cells, runs, strict=True) if run.key not in known)
    if todo.total() < MANY:
        return ""
    tuning, _ = runs_a_cell(study)
    counts = {cell: count + tuning for cell, count in todo.items()}
    hours = total_seconds(counts, device=study.device, dtype=study.dtype) / 3600
    return f"; at most about {hours:.1f} core-hours for {counted(todo.total(), 'run')} to do, less where they end early"


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
