"""Gradient descent under the paper's protocol: one full-batch step after another, with trajectories and end points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from harness.build import build_paper_model
from harness.cells import Run
from harness.contracts import Batch, Samples, Task
from harness.data import Data
from harness.errors import Diverged, Unsupported
from harness.protocols.paper import Paper
from harness.seeds import seed_of

from .course import Course
from .descent import Descent, LabelledTokens, descent_for
from .model import PaperModel

EXPLODED = 1e4
STEPS_DRAWN_TOGETHER = 64
"""In population mode; layouts of this many steps are held at a time."""

Report = Callable[[int, int, float, float | None], None]


Outcome = dict[str, Any]
"""What a record holds of training and evaluation."""


def train_and_evaluate(run: Run, task: Task, protocol: Paper, report: Report) -> Outcome:
    """Train until convergence or to the last step; what the record holds of it.

    Raises:
        Unsupported: the task is not one of two classes, or asks at cells.
        Diverged: the loss is not finite or has exploded.
    """
    refuse_what_does_not_fit(run, task)
    data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
    model = build_paper_model(run.cell, task, protocol, seed=run.seed).to(run.device)
    descent = descent_for(model)
    test = descent.bind(whole(data, data.samples("test", protocol.test_samples)))
    batches = (descent.bind(tokens) for tokens in train_sets(data, protocol))
    course = Course(model, task, run.device, protocol)
    train_loss, accuracy, bound = math.nan, 0.0, None
    for step in range(protocol.steps + 1):
        last = is_last(step, train_loss, protocol)
        if last or step % protocol.evaluate_every == 0:
            loss, accuracy = descent.evaluate(test)
            check(step, loss)
            if course.add(step, loss, accuracy, train_loss, last=last):
                break
        bound = next(batches, bound)
        train_loss = descent.backward(bound)
        check(step, train_loss)
        step_down(model, protocol, train_loss)
        report(step + 1, protocol.steps, train_loss, accuracy)
    return outcome_of(course, model, descent, data, protocol)


def refuse_what_does_not_fit(run: Run, task: Task) -> None:
    """The sign of one number a sequence is the guess.

    Raises:
        Unsupported: the task is not one of two classes, or asks at cells.
    """
    if task.asks_cells:
        raise Unsupported(f"protocol paper reads one answer a sequence, task {run.cell.task} asks at cells", "standard")
    if task.classes != 2:
        raise Unsupported(f"protocol paper needs two classes, task {run.cell.task} has {task.classes}", "another task")


def is_last(step: int, train_loss: float, protocol: Paper) -> bool:
    """The budget is spent, or a fixed training set is without loss, so without gradient: it has no more to teach."""
    return step == protocol.steps or (train_loss == 0 and protocol.stop and not protocol.population)


def outcome_of(course: Course, model: PaperModel, descent: Descent, data: Data, protocol: Paper) -> Outcome:
    """What the record holds, once training is over."""
    validation = descent.bind(whole(data, data.samples("validation", protocol.validation_samples)))
    return course.as_record(validation=descent.evaluate(validation)) | {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "kernel": descent.kernel,
    }


def train_sets(data: Data, protocol: Paper) -> Iterator[LabelledTokens]:
    """The training set, once; with population=true a new one for every step."""
    if not protocol.population:
        yield whole(data, data.samples("train", protocol.samples))
        return
    for first in range(0, protocol.steps, STEPS_DRAWN_TOGETHER):
        seed = seed_of(kind="data", task=data.spec, split="train", seed=data.seed, first=first)
        samples = data.task.sample("train", STEPS_DRAWN_TOGETHER * protocol.samples, seed)
        for start in range(0, len(samples), protocol.samples):
            yield labelled(data, samples.batch_once(start, start + protocol.samples))


def whole(data: Data, samples: Samples) -> LabelledTokens:
    """All the samples."""
    return labelled(data, samples.batch(np.arange(len(samples))))


def labelled(data: Data, batch: Batch) -> LabelledTokens:
    """A batch as tokens [samples, cells, features] and labels +1 (class 1) or -1, on the device."""
    tokens, target, _ = data.move(batch)
    return tokens, target.to(tokens.dtype) * 2 - 1


@torch.no_grad()
def step_down(model: PaperModel, protocol: Paper, train_loss: float) -> None:
    """One step of gradient descent: eta for W_O; for the mixer mixer_rate * eta, bounded, as the schedule has it."""
    assert model.hidden.grad is not None
    mixer = [(parameter, parameter.grad) for parameter in model.mixer_parameters if parameter.grad is not None]
    rate = protocol.learning_rate * protocol.mixer_rate
    if protocol.mixer_step and mixer:
        length = rate * math.sqrt(sum(float(gradient.square().sum()) for _, gradient in mixer))
        rate *= min(1.0, protocol.mixer_step / max(length, 1e-30))
    if protocol.schedule == "loss":
        rate *= min(1.0, train_loss)
    for parameter, gradient in mixer:
        parameter.sub_(gradient, alpha=rate)
    model.hidden.sub_(model.hidden.grad, alpha=protocol.learning_rate)


def check(step: int, loss: float) -> None:
    """Raises Diverged where the loss has left the numbers."""
    if not math.isfinite(loss) or loss > EXPLODED:
        raise Diverged(step, loss)
