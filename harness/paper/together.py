"""Many trials of one cell under the paper's protocol at once, for devices that one trial leaves idle.

Each trial has its own data, initialization and end; what it comes to equals a trial alone up to rounding. Tested on a
CPU, where it does not pay and one trial a core is faster; not yet run on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from harness.build import build_paper_model
from harness.cells import Run
from harness.contracts import Task
from harness.data import Data
from harness.errors import Diverged
from harness.protocols.paper import Paper

from .course import Course
from .descent import FusedDescent, LabelledTokens, descent_for
from .gradient_torch import hinge_gradient_replicas
from .model import PaperModel
from .train import Outcome, check, is_last, outcome_of, refuse_what_does_not_fit, train_sets, whole

Report = Callable[[int, int, int, float, float | None], None]
"""(trial, step, steps, training loss, last test accuracy)."""

Batch = tuple[Tensor, Tensor, Tensor | None]
"""Tokens [R, N, L, d] in route order, labels [R, N], scores [R, N, L, L] or None for x_t . x_s."""


class Trial:
    """One seed: its model, its data, its course.

    Raises:
        TypeError: a mixer without the fused gradient, which trains one trial at a time.
        Unsupported: a task that the protocol cannot ask.
    """

    def __init__(self, run: Run, task: Task, protocol: Paper):
        refuse_what_does_not_fit(run, task)
        self.data = Data(task, spec=run.cell.task, seed=run.seed, device=run.device)
        self.model: PaperModel = build_paper_model(run.cell, task, protocol, seed=run.seed).to(run.device)
        descent = descent_for(self.model)
        if not isinstance(descent, FusedDescent):
            raise TypeError(f"{run.cell.architecture} has scores that training changes")
        self.descent = descent
        self.test = descent.bind(whole(self.data, self.data.samples("test", protocol.test_samples)))
        self.sets: Iterator[LabelledTokens] = (self._in_order(tokens) for tokens in train_sets(self.data, protocol))
        self.course = Course(self.model, task, run.device, protocol)
        self.train_loss, self.accuracy = math.nan, 0.0
        self.outcome: Outcome | Diverged | None = None

    def _in_order(self, data: LabelledTokens) -> LabelledTokens:
        tokens, labels = data
        return self.descent.in_route_order(tokens), labels

    @property
    def gate(self) -> Tensor:
        """w_D [d]; a buffer of zeros where the gate is held."""
        return self.model.first_mixer.w_D  # type: ignore[return-value]

    @torch.no_grad()
    def look(self, step: int, protocol: Paper) -> bool:
        """Evaluate where it is time to; returns whether the trial goes on.

        Raises:
            Diverged: the test loss has left the numbers.
        """
        last = is_last(step, self.train_loss, protocol)
        if not last and step % protocol.evaluate_every:
            return True
        loss, self.accuracy = self.descent.evaluate(self.test)
        check(step, loss)
        return not self.course.add(step, loss, self.accuracy, self.train_loss, last=last)


def train_together(
    runs: Sequence[Run], task: Task, protocol: Paper, report: Report = lambda *_: None
) -> list[Outcome | Diverged]:
    """Train runs that differ in their seed only; what each came to, as `train_and_evaluate` returns it.

    Raises:
        TypeError: a mixer that has to be trained one trial at a time.
    """
    trials = [Trial(run, task, protocol) for run in runs]
    alive = list(trials)
    batch: Batch | None = None
    for step in range(protocol.steps + 1):
        going = [trial for trial in alive if _goes_on(trial, step, protocol)]
        if len(going) < len(alive):
            alive, batch = going, None
        if not alive:
            break
        if batch is None or protocol.population:
            batch = _stacked(alive, keep=not protocol.population)
        for trial, loss in zip(alive, _step(alive, batch, protocol), strict=True):
            trial.train_loss = loss
            report(trials.index(trial), step + 1, protocol.steps, loss, trial.accuracy)
    for trial in trials:
        if trial.outcome is None:
            trial.outcome = outcome_of(trial.course, trial.model, trial.descent, trial.data, protocol)
    return [trial.outcome for trial in trials if trial.outcome is not None]


def _goes_on(trial: Trial, step: int, protocol: Paper) -> bool:
    try:
        if step:
            check(step - 1, trial.train_loss)
        return trial.look(step, protocol)
    except Diverged as error:
        trial.outcome = error
        return False


def _stacked(trials: Sequence[Trial], *, keep: bool) -> Batch:
    """The next training sets of all trials."""
    sets = [next(trial.sets) for trial in trials]
    if keep:  # a fixed set is asked for again when another trial has ended
        for trial, data in zip(trials, sets, strict=True):
            trial.sets = iter((data, data))
            next(trial.sets)
    tokens, labels = zip(*sets, strict=True)
    scores = [trial.descent.scores(x) for trial, x in zip(trials, tokens, strict=True)]
    given = None if scores[0] is None else torch.stack([s for s in scores if s is not None])
    return torch.stack(tokens), torch.stack(labels), given


@torch.no_grad()
def _step(trials: Sequence[Trial], batch: Batch, protocol: Paper) -> list[float]:
    """One step of every trial, as `train.step_down` takes it; returns the losses before it."""
    tokens, labels, scores = batch
    gates, hidden, signs = (
        torch.stack(list(of))
        for of in (
            (trial.gate for trial in trials),
            (trial.model.hidden for trial in trials),
            (trial.model.signs for trial in trials),
        )
    )
    found = hinge_gradient_replicas(tokens, labels, gates, hidden, signs, scores=scores)
    rates = torch.full_like(found.losses, protocol.learning_rate * protocol.mixer_rate)
    if protocol.mixer_step:
        rates *= (protocol.mixer_step / (rates * found.gate.norm(dim=1)).clamp(min=1e-30)).clamp(max=1)
    if protocol.schedule == "loss":
        rates *= found.losses.clamp(max=1)
    for trial, rate, gate, rows in zip(trials, rates.to(gates), found.gate, found.hidden, strict=True):
        if trial.gate.requires_grad:
            trial.gate.sub_(rate * gate)
        trial.model.hidden.sub_(rows, alpha=protocol.learning_rate)
    return found.losses.tolist()
