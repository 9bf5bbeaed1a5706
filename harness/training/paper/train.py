"""Gradient descent under the paper's protocol: one full-batch step after another, with trajectories and end points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from harness.contracts import Batch, Samples, Task
from harness.contracts.errors import Diverged, Unsupported, divergence
from harness.contracts.protocol import Outcome, Report
from harness.contracts.seeds import seed_of
from harness.registry.cells import Run
from harness.training.data import Data

from .full_batch import LabelledTokens, gradient_for
from .history import TrainingHistory
from .model import PaperModel
from .recipe import PaperRecipe

STEPS_DRAWN_TOGETHER = 64
"""In population mode; layouts of this many steps are held at a time."""


class Trial:
    """One run on its way: its model, its data, its history, and where it left the numbers if it did.

    Raises:
        Unsupported: the task is not one of two classes, or asks at cells: the sign of one number a sequence is the
            guess.
    """

    def __init__(self, run: Run, task: Task, recipe: PaperRecipe, report: Report = lambda *_: None):
        name, protocol = f"task {run.cell.task}", "protocol paper"
        if task.vocabulary:
            raise Unsupported("the paper's protocol has no embedding, and this task's tokens are ids", "take standard")
        if task.per_token_targets:
            raise Unsupported(f"{protocol} reads one answer a sequence, {name} asks at cells", "take standard")
        if task.classes != 2:
            raise Unsupported(f"{protocol} needs two classes, {name} has {task.classes}", "take another task")
        self.recipe, self.report = recipe, report
        self.architecture = run.cell.architecture
        self.data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
        self.model: PaperModel = recipe.build(run.cell, task, seed=run.seed).to(run.device)
        self.gradient = gradient_for(self.model)
        self.test = self.gradient.bind(whole(self.data, self.data.samples("test", recipe.test_samples)))
        self.sets = train_sets(self.data, recipe)
        self.history = TrainingHistory(self.model, task, run.device, recipe)
        self.train_loss, self.accuracy = math.nan, 0.0
        self.diverged: Diverged | None = None
        self._bound: Any = None  # the training set, made ready once where there is only one

    def goes_on(self, step: int) -> bool:
        """Evaluate where it is time to; returns whether a further step is to be taken."""
        recipe = self.recipe
        # A fixed training set without loss is without gradient: it has no more to teach.
        last = step == recipe.steps or (self.train_loss == 0 and recipe.stop and not recipe.population)
        if self.diverged is None and (last or step % recipe.evaluate_every == 0):
            loss, self.accuracy = self.gradient.evaluate(self.test)
            self.diverged = divergence(step, loss)
            if self.diverged is None:
                return not self.history.add(step, loss, self.accuracy, self.train_loss, last=last)
        return self.diverged is None

    def backward(self) -> float:
        """Set the model's gradients on its next training set; returns the loss before the step."""
        tokens = next(self.sets, None)
        if tokens is not None:
            self._bound = self.gradient.bind(tokens)
        return self.gradient.backward(self._bound)

    def outcome(self) -> Outcome | Diverged:
        """What the record holds, once training is over."""
        if self.diverged is not None:
            return self.diverged
        validation = self.data.samples("validation", self.recipe.validation_samples)
        scores = self.gradient.evaluate(self.gradient.bind(whole(self.data, validation)))
        return self.history.as_record(validation=scores) | {
            "parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "kernel": self.gradient.kernel,
        }


Backward: TypeAlias = Callable[[Sequence[Trial]], list[float]]
"""Sets the gradients of trials on their next training sets; returns the losses before the step."""


def train_trials(
    trials: Sequence[Trial],
    recipe: PaperRecipe,
    backward: Backward = lambda trials: [trial.backward() for trial in trials],
) -> list[Outcome | Diverged]:
    """Train each until convergence or to the last step; what each came to."""
    going = trials
    for step in range(recipe.steps + 1):
        going = [trial for trial in going if trial.goes_on(step)]
        if not going:
            break
        for trial, loss in zip(going, backward(going), strict=True):
            trial.train_loss, trial.diverged = loss, divergence(step, loss)
            if trial.diverged is None:
                step_down(trial.model, recipe, loss)
                trial.report(step + 1, recipe.steps, loss, trial.accuracy)
    return [trial.outcome() for trial in trials]


@torch.no_grad()
def step_down(model: PaperModel, recipe: PaperRecipe, train_loss: float) -> None:
    """One step of gradient descent: eta for W_O; for the mixer mixer_rate * eta, bounded, as the schedule has it."""
    assert model.hidden.grad is not None
    mixer = [(parameter, parameter.grad) for parameter in model.mixer_parameters if parameter.grad is not None]
    learning_rate = recipe.learning_rate * recipe.mixer_rate
    if recipe.mixer_step and mixer:
        length = learning_rate * math.sqrt(sum(float(gradient.square().sum()) for _, gradient in mixer))
        learning_rate *= min(1.0, recipe.mixer_step / max(length, 1e-30))
    if recipe.schedule == "loss":
        learning_rate *= min(1.0, train_loss)
    for parameter, gradient in mixer:
        parameter.sub_(gradient, alpha=learning_rate)
    model.hidden.sub_(model.hidden.grad, alpha=recipe.learning_rate)


def train_sets(data: Data, recipe: PaperRecipe) -> Iterator[LabelledTokens]:
    """The training set, once; with population=true a new one for every step."""
    if not recipe.population:
        yield whole(data, data.samples("train", recipe.samples))
        return
    for first in range(0, recipe.steps, STEPS_DRAWN_TOGETHER):
        seed = seed_of(kind="data", task=data.spec, split="train", seed=data.seed, first=first)
        samples = data.task.sample("train", STEPS_DRAWN_TOGETHER * recipe.samples, seed)
        for start in range(0, len(samples), recipe.samples):
            yield labelled(data, samples.batch_once(start, start + recipe.samples))


def whole(data: Data, samples: Samples) -> LabelledTokens:
    """All the samples."""
    return labelled(data, samples.batch(np.arange(len(samples))))


def labelled(data: Data, batch: Batch) -> LabelledTokens:
    """A batch as tokens [samples, cells, features] and labels +1 (class 1) or -1, on the device."""
    tokens, target, _ = data.move(batch)
    return tokens, target.to(tokens.dtype) * 2 - 1
