"""Many seeds of one cell trained together: their parameters stacked, each operation done once for all of them.

Every seed keeps its own data, initialization, gradient clipping and divergence, exactly as when it trains alone; only
rounding differs, because sums are taken in another order. On a GPU small models leave most of the device idle, and this
fills it. One seed a core fills a CPU already, so the command line refuses it there (four together: 1.4 to 1.7 times as
fast on 4 x 4 cells, 0.9 to 1.0 times on 8 x 8). Not yet run on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from .contracts import UNASKED
from .cuda_graph import GraphedStep
from .data import Data, Evaluation
from .errors import Diverged
from .model import StandardModel
from .protocols.standard import Standard
from .routed import RoutedMixer, permute_plainly
from .train import EXPLODED, Curve, cross_entropy, make_optimizer, rate_at

Batch = tuple[Tensor, Tensor, Tensor | None]
Progress = Callable[[int, int, float, float | None], None]
"""(replica, step, training loss, last validation accuracy)."""


@dataclass(kw_only=True)
class Replica:
    """One seed on its way: its data, its validation curve, and where it left the numbers if it did.

    seen: class scores and targets of the test set's batches.
    """

    data: Data
    curve: Curve = field(default_factory=Curve)
    train_loss: float | None = None
    diverged: Diverged | None = None
    test_accuracy: float = math.nan
    test_loss: float = math.nan
    seen: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def check(self, step: int, loss: float, limit: float = math.inf) -> None:
        """Note the first loss that is not finite or beyond the limit; what comes after it is not this run's."""
        if self.diverged is None and (not math.isfinite(loss) or loss > limit):
            self.diverged = Diverged(step, loss)


class Stack:
    """Models of one shape as one, with parameters [replicas, ...].

    Args:
        models: built alike, for different seeds. protocol: how they are trained. capturable: for a CUDA graph.
    """

    def __init__(self, models: Sequence[StandardModel], protocol: Standard, *, capturable: bool = False):
        self.model = models[0]
        for module in self.model.modules():
            if isinstance(module, RoutedMixer):
                module.permute = permute_plainly
        self.protocol = protocol
        self.parameters, _ = stack_module_state(list(models))
        self.optimizer = make_optimizer(self.model, protocol)
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        for group in self.optimizer.param_groups:  # who decays is decided by the parameters' own shapes
            group["params"] = [self.parameters[names[id(parameter)]] for parameter in group["params"]]
            group["capturable"] = capturable
            if capturable:
                group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)

    def scores(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Class scores [replicas, batch, classes] of tokens [replicas, batch, cells, features].

        Where a task asks at cells they are [replicas, batch, cells, classes].
        """
        if len(tokens) == 1:  # kernels without a batching rule can serve a single one
            alone = {name: parameter[0] for name, parameter in self.parameters.items()}
            return functional_call(self.model, alone, (tokens[0], None if mask is None else mask[0]))[None]

        def of_one(parameters: dict[str, Tensor], tokens: Tensor, mask: Tensor | None) -> Tensor:
            return functional_call(self.model, parameters, (tokens, mask))

        return vmap(of_one, in_dims=(0, 0, None if mask is None else 0))(self.parameters, tokens, mask)

    @torch.no_grad()
    def one(self, number: int) -> StandardModel:
        """The model with the parameters of one replica; the next call changes it."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.parameters[name][number])
        return self.model

    def set_rate(self, step: int) -> None:
        """The learning rate of a step, counted from 0."""
        rate = self.protocol.learning_rate * rate_at(step, self.protocol)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # a captured step reads it from where it was
            else:
                group["lr"] = rate

    def train_step(self, tokens: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Forward, backward, clip each replica by its own norm, step; returns the losses [replicas]."""
        losses = mean_asked(cross_entropies(self.scores(tokens, mask), target), target)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = (self.protocol.clip / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))
        self.optimizer.step()
        return losses.detach()

    @torch.no_grad()
    def evaluate(
        self, splits: Sequence[Evaluation], watch: Callable[[Tensor, Tensor], None] = lambda *_: None
    ) -> list[tuple[float, float]]:
        """Accuracy and mean cross-entropy of each replica over its own split.

        watch: is shown the scores and targets of every batch, [replicas, ...].
        """
        self.model.eval()
        correct, loss, count = [0] * len(splits), [0.0] * len(splits), [0] * len(splits)
        for batches in zip(*splits, strict=True):
            tokens, target, mask = stacked(batches)
            scores = self.scores(tokens, mask)
            hits = (scores.argmax(-1) == target).flatten(1).sum(1).tolist()
            sums = cross_entropies(scores, target).flatten(1).sum(1).tolist()
            asked = (target != UNASKED).flatten(1).sum(1).tolist()
            correct = [a + b for a, b in zip(correct, hits, strict=True)]
            loss = [a + b for a, b in zip(loss, sums, strict=True)]
            count = [a + b for a, b in zip(count, asked, strict=True)]
            watch(scores.float(), target)
        self.model.train()
        return [(hits / of, total / of) for hits, total, of in zip(correct, loss, count, strict=True)]


def train_replicas(
    stack: Stack, replicas: Sequence[Replica], progress: Progress, step: GraphedStep | None = None
) -> None:
    """Train all replicas and fill in their curves and test scores; a diverged one only stops being looked at.

    Args:
        step: runs `stack.train_step`; the step itself unless given.
    """
    protocol = stack.protocol
    validation = [replica.data.evaluation("validation", protocol.validation_samples) for replica in replicas]
    _validate(stack, replicas, validation, 0)
    batches = (
        replica.data.train_batches(count=protocol.train_count, batch_size=protocol.batch_size, steps=protocol.steps)
        for replica in replicas
    )
    for number, parts in enumerate(zip(*batches, strict=True), start=1):
        stack.set_rate(number - 1)
        losses = (step or stack.train_step)(*stacked(parts)).tolist()
        for replica, loss in zip(replicas, losses, strict=True):
            replica.train_loss = loss
            replica.check(number, loss, EXPLODED)
        if number % protocol.evaluate_every == 0 or number == protocol.steps:
            _validate(stack, replicas, validation, number)
        for index, replica in enumerate(replicas):
            if replica.diverged is None:
                progress(index, number, losses[index], replica.curve.accuracy[-1])
        if all(replica.diverged for replica in replicas):
            return
    splits = [replica.data.evaluation("test", protocol.test_samples) for replica in replicas]
    tests = stack.evaluate(splits, lambda scores, target: _show(replicas, scores, target))
    for replica, (replica.test_accuracy, replica.test_loss) in zip(replicas, tests, strict=True):
        replica.check(protocol.steps, replica.test_loss)


def _show(replicas: Sequence[Replica], scores: Tensor, target: Tensor) -> None:
    for index, replica in enumerate(replicas):
        replica.seen.append((scores[index], target[index]))


def _validate(stack: Stack, replicas: Sequence[Replica], splits: Sequence[Evaluation], step: int) -> None:
    for replica, (accuracy, loss) in zip(replicas, stack.evaluate(splits), strict=True):
        replica.check(step, loss)
        if replica.diverged is None:
            replica.curve.steps.append(step)
            replica.curve.accuracy.append(accuracy)
            replica.curve.loss.append(loss)
            replica.curve.train_loss.append(replica.train_loss)


def stacked(batches: Sequence[Batch]) -> Batch:
    """One batch a replica as one, each tensor [replicas, ...]."""
    tokens, target, mask = zip(*batches, strict=True)
    return torch.stack(tokens), torch.stack(target), None if mask[0] is None else torch.stack(mask)


def cross_entropies(scores: Tensor, target: Tensor) -> Tensor:
    """Shaped as target, [replicas, batch] or [replicas, batch, cells]; zero where nothing is asked."""
    return cross_entropy(scores, target, reduction="none").view(target.shape)


def mean_asked(losses: Tensor, target: Tensor) -> Tensor:
    """[replicas], each replica's mean over what it was asked."""
    if target.ndim == 2:
        return losses.mean(1)
    return losses.flatten(1).sum(1) / (target != UNASKED).flatten(1).sum(1)
