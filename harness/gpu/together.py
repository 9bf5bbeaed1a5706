"""Seeds and trials trained together, and steps replayed as CUDA graphs: the same as each alone, and how much faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.contracts.errors import Diverged
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.store.record import Record
from harness.training.execute import execute, first_line
from harness.training.execute_together import execute_together
from harness.training.precision import precision
from harness.training.standard.cuda_graph import GraphedStep, record
from harness.training.standard.loop import train_runs
from harness.training.standard.replicas import StackedModels

from .bench import Bench
from .cells import STEPS, TRAINED, TRAINING, runs
from .pieces import Row, Rows, piece

LOSS_TOLERANCE = 2e-4
"""Largest difference of test losses between runs that differ in rounding only, after STEPS steps in float32."""

TRIALS = 100
TRIAL_TOLERANCE = {"curve": 5e-3, "test_loss": 1e-3}
"""Of a trial of the paper's protocol trained with 99 others against the trial alone, after 40 steps."""

TRIAL_CELL = (
    "majority:length=10,relevant=0.5,confusing=0.2,dim=8",
    "gated-ssm:train_projections=false",
    "random",
    "paper:test_samples=300,validation_samples=64,samples=100,steps=40,learning_rate=2",
)


@piece("replicas", title="seeds trained together equal each alone", minutes=2, modules=TRAINING)
def replicas(bench: Bench) -> Rows:
    """Eight seeds of one cell at once (`run --replicas 8`) against the same one by one."""
    for architecture in bench.pick(TRAINED, ("gated-ssm", "local-attention")):
        asked = runs(architecture, bench.pick(8, 3), bench)
        execute(asked[0])  # compiles what there is to compile
        alone, seconds_alone = _timed(lambda asked=asked: [execute(run) for run in asked])
        together, seconds = _timed(lambda asked=asked: execute_together(asked))
        note = together[0].get("training_note")
        if note:
            yield Row(case=architecture, passed=None, found=note)
            continue
        worst = _largest(_loss_differences(alone, together))
        facts = {"loss_difference": worst, "alone_seconds": seconds_alone, "together_seconds": seconds}
        found = f"test losses differ by {worst:.1e} at most; {seconds_alone / seconds:.1f} times as fast together"
        yield Row(case=f"{architecture}, {len(asked)} seeds", passed=worst <= LOSS_TOLERANCE, found=found, facts=facts)


@piece(
    "paper-trials",
    title=f"{TRIALS} trials of the paper's protocol at once equal each alone",
    minutes=4,
    modules=(*TRAINING, "harness.training.paper.together"),
)
def paper_trials(bench: Bench) -> Rows:
    """All trials at once, then every one alone; curves and test losses within TRIAL_TOLERANCE."""
    cell = cell_from(*TRIAL_CELL)
    count = bench.pick(TRIALS, 4)
    asked = [Run(cell=cell, seed=seed, device=bench.device) for seed in range(count)]
    execute_together(asked[:2])
    together, seconds = _timed(lambda: execute_together(asked))
    alone, seconds_alone = _timed(lambda: [execute(run) for run in asked])
    if together[0].get("training_note"):
        yield Row(case=f"{count} trials", passed=False, found=str(together[0]["training_note"]))
        return
    losses = _largest(_loss_differences(alone, together))
    curves = _largest([_curve_difference(one["curve"], other["curve"]) for one, other in _pairs(alone, together)])
    for what, worst in (("curve", curves), ("test_loss", losses)):
        limit = TRIAL_TOLERANCE[what]
        found = f"differs by {worst:.1e} at most, tolerance {limit:g}"
        yield Row(case=f"{count} trials, {what}", passed=worst <= limit, found=found, facts={"difference": worst})
    facts = {"alone_seconds": seconds_alone, "together_seconds": seconds}
    found = f"{seconds:.1f} s together, {seconds_alone:.1f} s one after another"
    yield Row(case=f"{count} trials, time", passed=None, found=found, facts=facts)


@piece("cuda-graphs", title="training steps replayed as CUDA graphs", minutes=3, modules=TRAINING)
def cuda_graphs(bench: Bench) -> Rows:
    """A run with its step captured once and replayed (`run --cuda-graphs`), against the same step launched anew."""
    for architecture in bench.pick(TRAINED, ("gated-ssm", "mean-pool")):
        for count in bench.pick((1, 8), (1,)):
            asked = runs(architecture, count, bench)
            case = f"{architecture}, {count} seed{'s' * (count > 1)}"
            try:
                plain, seconds_plain, _ = _stacked(asked, bench, graphed=False)
            except RuntimeError as error:  # a kernel without a batching rule, but not what an earlier capture spoiled
                passed = False if "CUDA error" in str(error) else None
                yield Row(case=case, passed=passed, found=f"not together: {first_line(error)}")
                continue
            try:
                graph, seconds, step = _stacked(asked, bench, graphed=True)
            except Exception as error:  # where the capture fails the step itself is to serve
                yield Row(case=case, passed=False, found=first_line(error))
                continue
            assert step is not None
            if step.reason:
                yield Row(case=case, passed=None, found=step.reason)
                continue
            worst = _largest(_loss_differences(plain, graph))
            facts = {"loss_difference": worst, "launched_seconds": seconds_plain, "replayed_seconds": seconds}
            found = f"test losses differ by {worst:.1e}; {STEPS} steps and scoring in {seconds:.2f} s, "
            found += f"launched {seconds_plain:.2f} s"
            yield Row(case=case, passed=step.replayed and worst <= LOSS_TOLERANCE, found=found, facts=facts)


def _stacked(asked: Sequence[Run], bench: Bench, *, graphed: bool) -> tuple[list[Any], float, GraphedStep | None]:
    """Outcomes, seconds and the graphed step. On a CPU a stand-in records nothing and replays by computing."""
    cell, task = asked[0].cell, task_of(asked[0].cell)
    recipe: Any = protocol_of(cell)
    with precision(asked[0].dtype, bench.device):
        models = [recipe.build(cell, task, seed=run.seed).to(bench.device) for run in asked]
        learner = StackedModels(models, recipe, capturable=bench.is_gpu)
        step = None
        if graphed:
            recorder = record if bench.is_gpu else _stand_in(len(asked))
            learner.step = step = GraphedStep(learner.plain_step, recorder)
        outcomes, seconds = _timed(lambda: train_runs(asked, task, recipe, [lambda *_: None] * len(asked), learner))
    return outcomes, seconds, step


def _stand_in(count: int) -> Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]:
    def recorder(function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        output = torch.full((count,), torch.nan)

        def replay() -> None:
            output.copy_(function())

        return replay, output

    return recorder


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    found = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return found, time.perf_counter() - began


def _pairs(alone: Sequence[Record], together: Sequence[Record]) -> list[tuple[Record, Record]]:
    return list(zip(alone, together, strict=True))


def _loss_differences(alone: Sequence[Any], together: Sequence[Any]) -> list[float]:
    """Of test losses; infinite where one of the two has none."""
    return [_difference(_loss(one), _loss(other)) for one, other in zip(alone, together, strict=True)]


def _loss(outcome: Any) -> float | None:
    return None if isinstance(outcome, Diverged) else outcome.get("test_loss")


def _difference(one: float | None, other: float | None) -> float:
    return float("inf") if one is None or other is None else abs(one - other)


def _curve_difference(one: dict[str, list[float]], other: dict[str, list[float]]) -> float:
    """Over all columns but the loss of training, whose first value is none."""
    if one.keys() != other.keys() or one.get("step") != other.get("step"):
        return float("inf")
    columns = [name for name in one if name != "train_loss"]
    return _largest([_difference(a, b) for name in columns for a, b in zip(one[name], other[name], strict=True)])


def _largest(values: Sequence[float]) -> float:
    """NaN counts as infinite."""
    return max((float("inf") if value != value else value for value in values), default=0.0)
