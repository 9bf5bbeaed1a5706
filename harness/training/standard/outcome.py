"""A run under the standard protocol on its way, and what the record holds of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.contracts import Task
from harness.contracts.errors import Diverged, divergence
from harness.contracts.protocol import Outcome, Report
from harness.model.backbone import StandardModel
from harness.model.cost import mixing_cost
from harness.model.routed import routing_of
from harness.registry.cells import Run, scan_of
from harness.registry.routing import scan_from
from harness.training.data import Data, Evaluation

from .decays import decay_quantiles
from .recipe import StandardRecipe
from .scores import class_scores, evaluate

TRANSFER_SAMPLES = 512
"""The first samples of the test set, by which a trained model is tried along other scans: enough for a mean over seeds,
where reading the whole set by six scans would take a sixth of a small run."""

TOGETHER_CELLS = 2**16
"""Cells of the longer sequences that go through the model together."""


@dataclass
class Curve:
    """Validation over training: the steps at which it was taken, and the values."""

    steps: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    train_loss: list[float | None] = field(default_factory=list)

    def add(self, step: int, accuracy: float, loss: float, train_loss: float | None) -> None:
        """Note an evaluation."""
        self.steps.append(step)
        self.accuracy.append(accuracy)
        self.loss.append(loss)
        self.train_loss.append(train_loss)

    def steps_to(self, accuracy: float) -> int | None:
        """The first step at which validation accuracy had reached `accuracy`, or None: censored."""
        return next((step for step, value in zip(self.steps, self.accuracy, strict=True) if value >= accuracy), None)

    def area(self, steps: int) -> float:
        """Mean validation accuracy over so many steps: the trapezoid area under the curve over their number. Where
        training was stopped early the last value stands for the rest.
        """
        points = list(zip(self.steps, self.accuracy, strict=True))
        if self.steps[-1] < steps:
            points.append((steps, self.accuracy[-1]))
        span = points[-1][0] - points[0][0]
        if span == 0:
            return self.accuracy[-1]
        return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in zip(points, points[1:], strict=False)) / span


@dataclass(kw_only=True)
class Replica:
    """One run on its way: its data, its validation curve, and where it left the numbers if it did.

    test: its test set, once training is over. scored: class scores and targets of the test set's batches.
    """

    data: Data
    report: Report = lambda *_: None
    curve: Curve = field(default_factory=Curve)
    train_loss: float | None = None
    diverged: Diverged | None = None
    test: Evaluation | None = None
    test_accuracy: float = math.nan
    test_loss: float = math.nan
    scored: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def check(self, step: int, loss: float, limit: float = math.inf) -> None:
        """Note the first loss that is not finite or beyond the limit; what comes after it is not this run's."""
        self.diverged = self.diverged or divergence(step, loss, limit)


def outcome_of(model: StandardModel, run: Run, task: Task, recipe: StandardRecipe, replica: Replica) -> Outcome:
    """Of a run that was trained and scored, and of its model."""
    curve, test = replica.curve, replica.test
    assert test is not None
    threshold = recipe.threshold_accuracy(task.chance)
    outcome: Outcome = {
        "test_accuracy": replica.test_accuracy,
        "test_loss": replica.test_loss,
        "test_samples": test.count,
        "validation_accuracy": curve.accuracy[-1],
        "threshold_accuracy": threshold,
        "steps_to_threshold": curve.steps_to(threshold),
        "steps": recipe.steps,
        "stopped_at": curve.steps[-1] if curve.steps[-1] < recipe.steps else None,
        "capped": not recipe.stops_after(curve.accuracy) if recipe.stops_early else None,
        "mean_validation_accuracy": curve.area(recipe.steps),
        "curve": {"step": curve.steps, "validation_accuracy": curve.accuracy, "train_loss": curve.train_loss},
        "learning_rate": recipe.learning_rate,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "width": model.width,
        "kernel": model.kernel,
        **mixing_cost(model, recipe.batch_size),
    }
    if not task.per_token_targets:
        scores, target = (torch.cat(parts).cpu() for parts in zip(*replica.scored, strict=True))
        outcome |= class_scores(scores.softmax(-1).numpy(), target.numpy())
    tokens, _, mask = next(iter(test))
    return outcome | {
        "decay_quantiles": decay_quantiles(model, tokens, mask),
        "length_accuracy": accuracy_at_lengths(model, run, task, recipe),
        "transfer": transfer(model, run, task, recipe, replica.data),
    }


def accuracy_at_lengths(model: StandardModel, run: Run, task: Task, recipe: StandardRecipe) -> dict[str, float] | None:
    """Test accuracy of the trained model on sequences of each of the protocol's other lengths, by the length."""
    if not recipe.test_lengths:
        return None
    found: dict[str, float] = {}
    scan = scan_of(run.cell)
    for length in recipe.test_lengths:
        other = task.at_length(length)
        model.follow(routing_of(scan, other.grid, subject=f"scan {run.cell.scan}"))
        data = Data(other, spec=f"{run.cell.task} at length {length}", seed=run.seed, device=run.device)
        batch = max(1, min(256, TOGETHER_CELLS // other.cells))
        found[str(length)] = evaluate(model, data.evaluation("test", recipe.test_samples, batch_size=batch))[0]
    model.follow(routing_of(scan, task.grid, subject=f"scan {run.cell.scan}"))
    return found


def transfer(model: StandardModel, run: Run, task: Task, recipe: StandardRecipe, data: Data) -> dict[str, float] | None:
    """Test accuracy of the trained model along each of the protocol's other scans, by their canonical texts."""
    if not recipe.transfer_scans:
        return None
    test = data.evaluation("test", min(TRANSFER_SAMPLES, recipe.test_samples))
    found: dict[str, float] = {}
    for text in recipe.transfer_scans:
        name, _, scan = scan_from(text)
        model.follow(routing_of(scan, task.grid, subject=f"scan {name}"))
        found[name] = evaluate(model, test)[0]
    model.follow(routing_of(scan_of(run.cell), task.grid, subject=f"scan {run.cell.scan}"))
    return found
