"""The training loop of the standard protocol, for one run and for runs that train together, and what it takes."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from harness.contracts import Task
from harness.contracts.errors import DIVERGENCE_LOSS, Diverged
from harness.contracts.protocol import ESTIMATED_STEPS, Outcome, Report, TimedStep
from harness.model.backbone import StandardModel
from harness.registry.cells import Run
from harness.training.data import Data, Evaluation, Rendered

from .outcome import TRANSFER_SAMPLES, Replica, outcome_of
from .recipe import StandardRecipe
from .scores import asked_scores, evaluate

Watch = Callable[[int, Tensor, Tensor], None]
"""Shown (run, scores, targets) of every batch of an evaluation."""


class Learner:
    """The model of one run and its optimizer; `StackedModels` stands for those of many."""

    def __init__(self, model: StandardModel, recipe: StandardRecipe):
        self.model, self.recipe = model, recipe
        self.optimizer = recipe.make_optimizer(model)
        self._learning_rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def set_learning_rate(self, multiplier: float) -> None:
        """Multiply the learning rate that each group of the optimizer was made with."""
        for group, learning_rate in zip(self.optimizer.param_groups, self._learning_rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate * multiplier)  # a captured step reads it from where it was
            else:
                group["lr"] = learning_rate * multiplier

    def train_step(self, batches: Sequence[Iterator[Rendered]]) -> list[float]:
        """One optimizer step on a batch of each run, in the parts that go through a model together; the losses."""
        (parts,) = batches
        return [accumulated_step(self.model, self.optimizer, self.recipe, parts, self.recipe.batch_size).item()]

    def evaluate(self, splits: Sequence[Evaluation], watch: Watch = lambda *_: None) -> list[tuple[float, float]]:
        """Accuracy and mean cross-entropy of each run's model over its own split."""
        (split,) = splits
        return [evaluate(self.model, split, lambda *scored: watch(0, *scored))]

    def model_of(self, number: int) -> StandardModel:
        """The model of one run; the next call may change it."""
        return self.model


def train_runs(
    runs: Sequence[Run], task: Task, recipe: StandardRecipe, reports: Sequence[Report], learner: Learner
) -> list[Outcome | Diverged]:
    """Train the runs whose models `learner` holds and score each on its test split; what each came to."""
    replicas = [
        Replica(data=Data(task, spec=run.cell.task, seed=run.seed, device=run.device), report=report)
        for run, report in zip(runs, reports, strict=True)
    ]
    train(learner, replicas, recipe)
    score(learner, replicas, recipe)
    return [
        replica.diverged or outcome_of(learner.model_of(number), run, task, recipe, replica)
        for number, (run, replica) in enumerate(zip(runs, replicas, strict=True))
    ]


def train(learner: Learner, replicas: Sequence[Replica], recipe: StandardRecipe) -> None:
    """Train all and fill in their curves, step 0 included; a diverged one only stops being looked at."""
    validation = [replica.data.evaluation("validation", recipe.validation_samples) for replica in replicas]
    _validate(learner, replicas, validation, 0)
    batches = (
        replica.data.train_parts(count=recipe.train_count, batch_size=recipe.batch_size, steps=recipe.steps)
        for replica in replicas
    )
    for step, parts in enumerate(zip(*batches, strict=True), start=1):
        if all(replica.diverged for replica in replicas):
            return
        learner.set_learning_rate(recipe.lr_multiplier(step - 1))
        for replica, loss in zip(replicas, learner.train_step(parts), strict=True):
            replica.train_loss = loss
            replica.check(step, loss, DIVERGENCE_LOSS)
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            _validate(learner, replicas, validation, step)
            if recipe.stops_early and all(r.diverged or recipe.stops_after(r.curve.accuracy) for r in replicas):
                return
        for replica in replicas:
            if replica.diverged is None and replica.train_loss is not None:
                replica.report(step, recipe.steps, replica.train_loss, replica.curve.accuracy[-1])


def _validate(learner: Learner, replicas: Sequence[Replica], splits: Sequence[Evaluation], step: int) -> None:
    for replica, (accuracy, loss) in zip(replicas, learner.evaluate(splits), strict=True):
        replica.check(step, loss)
        if replica.diverged is None:
            replica.curve.add(step, accuracy, loss, replica.train_loss)


def score(learner: Learner, replicas: Sequence[Replica], recipe: StandardRecipe) -> None:
    """Fill in the test scores of trained runs."""
    if all(replica.diverged for replica in replicas):
        return
    splits = [replica.data.evaluation("test", recipe.test_samples) for replica in replicas]
    found = learner.evaluate(splits, lambda number, *scored: replicas[number].scored.append(scored))
    for replica, replica.test, (replica.test_accuracy, replica.test_loss) in zip(replicas, splits, found, strict=True):
        # The last step can break the weights; the argmax of NaN is a class all the same.
        replica.check(recipe.steps, replica.test_loss)


def accumulated_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, recipe: StandardRecipe, parts: Iterable[Rendered], count: int
) -> Tensor:
    """Forward, backward, clip, step on a batch of `count` sequences that goes through the model in parts, whose
    gradients add up; returns the loss. The timing session measures this very function.
    """
    total = None
    for tokens, target, mask in parts:
        loss = recipe.loss(*asked_scores(model, tokens, target, mask))
        if len(target) < count:
            loss = loss * (len(target) / count)
        if total is None:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    return total


def timed_step(run: Run, task: Task, recipe: StandardRecipe) -> TimedStep:
    """The training step on the run's first batch, or on as much of it as goes through the model together."""
    model = recipe.build(run.cell, task, seed=run.seed).to(run.device)
    optimizer, size = recipe.make_optimizer(model), recipe.batch_size
    data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
    batch = next(next(data.train_parts(count=size, batch_size=size, steps=1)))
    count = len(batch[1])
    return TimedStep(model=model, batch=batch, step=lambda: accumulated_step(model, optimizer, recipe, [batch], count))


def seconds_of_run(run: Run, task: Task, recipe: StandardRecipe) -> float:
    """A few steps and one evaluation, timed, times what the run asks for."""
    model = recipe.build(run.cell, task, seed=run.seed).to(run.device)
    data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
    optimizer, size, steps = recipe.make_optimizer(model), recipe.batch_size, 1 + ESTIMATED_STEPS
    batches = data.train_parts(count=steps * size, batch_size=size, steps=steps)
    step = timeit.Timer(lambda: accumulated_step(model, optimizer, recipe, next(batches), size).item())
    seconds = step.repeat(repeat=steps, number=1)
    split = data.evaluation("validation", size)
    a_sample = timeit.timeit(lambda: evaluate(model, split), number=1) / split.count
    evaluations = recipe.steps // recipe.evaluate_every + 1
    transferred = len(recipe.transfer_scans) * TRANSFER_SAMPLES
    read = evaluations * recipe.validation_samples + recipe.test_samples + transferred
    return recipe.steps * statistics.median(seconds[1:]) + read * a_sample  # the first step warms up
