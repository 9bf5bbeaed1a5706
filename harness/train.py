"""The training loop of the standard protocol, and what is read off it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .build import build_model
from .cells import Run, scan_of
from .contracts import UNASKED, Task
from .cost import mixing_cost
from .data import Data, Evaluation, Rendered
from .decays import decay_quantiles
from .errors import Diverged
from .model import StandardModel
from .protocols.standard import Standard
from .routed import Places, routing_of
from .routing import scan_from
from .scores import class_scores

EXPLODED = 1e4
"""A training loss beyond this has left the numbers, finite or not."""

TRANSFER_SAMPLES = 512
"""The first samples of the test set, by which a trained model is tried along other scans: enough for a mean over seeds,
where reading the whole set by six scans would take a sixth of a small run."""

Report = Callable[[int, int, float, float | None], None]
"""(step, steps, training loss, last validation accuracy)."""

Progress = Callable[[int, float, float | None], None]
"""(step, training loss, last validation accuracy) after every optimizer step."""


@dataclass
class Curve:
    """Validation accuracy over training: the steps at which it was taken, and the values."""

    steps: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    train_loss: list[float | None] = field(default_factory=list)

    def steps_to(self, accuracy: float) -> int | None:
        """The first step at which validation accuracy had reached `accuracy`, or None: censored."""
        return next((step for step, value in zip(self.steps, self.accuracy, strict=True) if value >= accuracy), None)

    @property
    def area(self) -> float:
        """Mean validation accuracy over training: the trapezoid area under the curve over the number of steps."""
        span = self.steps[-1] - self.steps[0]
        if span == 0:
            return self.accuracy[-1]
        points = list(zip(self.steps, self.accuracy, strict=True))
        return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in zip(points, points[1:], strict=False)) / span


def train_and_evaluate(run: Run, task: Task, protocol: Standard, report: Report) -> dict[str, Any]:
    """Train a run's model and score it on the test split; what the record holds of it.

    Raises:
        Diverged: the loss, or the test loss after the last step, has left the numbers.
    """
    data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
    model = build_model(run.cell, task, protocol, seed=run.seed).to(run.device)
    curve = train(model, data, protocol, lambda step, loss, accuracy: report(step, protocol.steps, loss, accuracy))
    test = data.evaluation("test", protocol.test_samples)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    test_accuracy, test_loss = evaluate(model, test, lambda *scored: seen.append(scored))
    if not math.isfinite(test_loss):  # the last step can break the weights; the argmax of NaN is a class all the same
        raise Diverged(protocol.steps, test_loss)
    outcome = outcome_of(model, curve, task, protocol, test_accuracy=test_accuracy, test_loss=test_loss)
    if not task.asks_cells:
        outcome |= beside_accuracy(seen)
    return outcome | looked_at(model, run, task, protocol, data, test)


def beside_accuracy(seen: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float | None]:
    """AUC and F1 from the class scores [batch, classes] and targets [batch] of a split's batches."""
    scores, target = (torch.cat(parts).cpu() for parts in zip(*seen, strict=True))
    return class_scores(scores.softmax(-1).numpy(), target.numpy())


def looked_at(
    model: StandardModel, run: Run, task: Task, protocol: Standard, data: Data, test: Evaluation
) -> dict[str, Any]:
    """What the record holds of the trained model beside its scores."""
    tokens, _, mask = next(iter(test))
    return {
        "decay_quantiles": decay_quantiles(model, tokens, mask),
        "transfer": transfer(model, run, task, protocol, data),
        "test_samples": test.count,
    }


def transfer(model: StandardModel, run: Run, task: Task, protocol: Standard, data: Data) -> dict[str, float] | None:
    """Test accuracy of the trained model along each of the protocol's other scans, by their canonical texts."""
    if not protocol.transfer:
        return None
    test = data.evaluation("test", min(TRANSFER_SAMPLES, protocol.test_samples))
    found: dict[str, float] = {}
    for text in protocol.transfer:
        name, _, scan = scan_from(text)
        model.follow(routing_of(scan, task.grid, subject=f"scan {name}"))
        found[name] = evaluate(model, test)[0]
    model.follow(routing_of(scan_of(run.cell), task.grid, subject=f"scan {run.cell.scan}"))
    return found


def outcome_of(
    model: StandardModel, curve: Curve, task: Task, protocol: Standard, *, test_accuracy: float, test_loss: float
) -> dict[str, Any]:
    """What the record holds of a training run and its test."""
    threshold = protocol.threshold_accuracy(task.chance)
    return {
        "test_accuracy": test_accuracy,
        "test_loss": test_loss,
        "validation_accuracy": curve.accuracy[-1],
        "threshold_accuracy": threshold,
        "steps_to_threshold": curve.steps_to(threshold),
        "steps": protocol.steps,
        "curve_area": curve.area,
        "curve": {"step": curve.steps, "validation_accuracy": curve.accuracy, "train_loss": curve.train_loss},
        "learning_rate": protocol.learning_rate,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "width": model.embed.out_features,
        "kernel": model.kernel,
        **mixing_cost(model, protocol.batch_size),
    }


def train(model: StandardModel, data: Data, protocol: Standard, progress: Progress) -> Curve:
    """Train with AdamW on cross-entropy and return the validation curve, step 0 included.

    Raises:
        Diverged: the loss is not finite or has exploded.
    """
    optimizer = make_optimizer(model, protocol)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, protocol))
    validation = data.evaluation("validation", protocol.validation_samples)
    curve = Curve()
    train_loss: float | None = None

    def validate(step: int) -> None:
        accuracy, loss = evaluate(model, validation)
        if not math.isfinite(loss):
            raise Diverged(step, loss)
        for values, value in (
            (curve.steps, step),
            (curve.accuracy, accuracy),
            (curve.loss, loss),
            (curve.train_loss, train_loss),
        ):
            values.append(value)  # type: ignore[arg-type]

    validate(0)
    batches = data.train_parts(count=protocol.train_count, batch_size=protocol.batch_size, steps=protocol.steps)
    for step, parts in enumerate(batches, start=1):
        train_loss = step_over(model, optimizer, protocol, parts, protocol.batch_size).item()
        schedule.step()
        if not math.isfinite(train_loss) or train_loss > EXPLODED:
            raise Diverged(step, train_loss)
        if step % protocol.evaluate_every == 0 or step == protocol.steps:
            validate(step)
        progress(step, train_loss, curve.accuracy[-1])
    return curve


def make_optimizer(model: nn.Module, protocol: Standard) -> torch.optim.AdamW:
    """AdamW; matrices decay, vectors and biases do not, nor does what a module marks with `_no_weight_decay`."""
    decayed, kept = [], []
    for parameter in model.parameters():
        if parameter.requires_grad:
            keep = parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False)
            (kept if keep else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": protocol.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=protocol.learning_rate)


def rate_at(step: int, protocol: Standard) -> float:
    """The factor on the learning rate: warm-up over a twentieth of the steps, then constant or cosine to zero."""
    warmup = max(1, protocol.steps // 20)
    if step < warmup:
        return (step + 1) / warmup
    if protocol.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, protocol.steps - warmup))))


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    protocol: Standard,
    tokens: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor | Places | None,
) -> torch.Tensor:
    """Forward, backward, clip, step; returns the loss. The timing session measures this very function."""
    return step_over(model, optimizer, protocol, [(tokens, target, mask)], len(target))


def step_over(
    model: nn.Module, optimizer: torch.optim.Optimizer, protocol: Standard, parts: Iterable[Rendered], count: int
) -> torch.Tensor:
    """A step on a batch of `count` sequences that goes through the model in parts; their gradients add up."""
    total = None
    for tokens, target, mask in parts:
        loss = cross_entropy(model(tokens, mask), target)
        if len(target) < count:
            loss = loss * (len(target) / count)
        if total is None:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None
    nn.utils.clip_grad_norm_(model.parameters(), protocol.clip)
    optimizer.step()
    return total


def cross_entropy(scores: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Of scores [..., classes] to targets [...], over what is asked."""
    return functional.cross_entropy(scores.flatten(0, -2), target.flatten(), reduction=reduction, ignore_index=UNASKED)


@torch.no_grad()
def evaluate(
    model: nn.Module, split: Evaluation, watch: Callable[[torch.Tensor, torch.Tensor], None] = lambda *_: None
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy over all that a split asks: its sequences, or the cells that it asks at.

    watch: is shown the scores and targets of every batch.
    """
    model.eval()
    correct, loss, count = 0, 0.0, 0
    for tokens, target, mask in split:
        scores = model(tokens, mask)
        correct += int((scores.argmax(-1) == target).sum())
        loss += float(cross_entropy(scores, target, reduction="sum"))
        count += int((target != UNASKED).sum())
        watch(scores.float(), target)
    model.train()
    return correct / count, loss / count
