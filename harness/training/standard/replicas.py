"""Many seeds of one cell trained together: their parameters stacked, each operation done once for all of them.

Every seed keeps its own data, initialization, gradient clipping and divergence, exactly as when it trains alone; only
rounding differs, because sums are taken in another order. On a GPU small models leave most of the device idle, and this
fills it. One seed a core fills a CPU already, so the command line refuses it there (four together: 1.4 to 1.7 times as
fast on 4 x 4 cells, 0.9 to 1.0 times on 8 x 8). docs/gpu.md says what of it has run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from harness.contracts import IGNORE_INDEX
from harness.model.backbone import StandardModel
from harness.model.routed import RoutedMixer, permute_plainly
from harness.training.data import Evaluation, Rendered

from .loop import Learner, Watch
from .recipe import StandardRecipe
from .scores import cross_entropy

DEVICE = "cuda"
"""Where alone the command line allows it: what changes here makes no CPU record stale."""

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor | None]


class StackedModels(Learner):
    """Models of one shape as one, with parameters [replicas, ...].

    step: takes a batch of all; a `GraphedStep` around it may take its place.

    Args:
        models: built alike, for different seeds. recipe: how they are trained. capturable: for a CUDA graph.
    """

    def __init__(self, models: Sequence[StandardModel], recipe: StandardRecipe, *, capturable: bool = False):
        super().__init__(models[0], recipe)
        for module in self.model.modules():
            if isinstance(module, RoutedMixer):
                module.permute = permute_plainly
        self.parameters, _ = stack_module_state(list(models))
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        for group in self.optimizer.param_groups:  # who decays is decided by the parameters' own shapes
            group["params"] = [self.parameters[names[id(parameter)]] for parameter in group["params"]]
            group["capturable"] = capturable
            if capturable:
                group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)
        self.step: Callable[[Tensor, Tensor, Tensor | None], Tensor] = self.plain_step

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
    def model_of(self, number: int) -> StandardModel:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.parameters[name][number])
        return self.model

    def train_step(self, batches: Sequence[Iterator[Rendered]]) -> list[float]:
        return self.step(*stacked([batch for parts in batches for batch in parts])).tolist()

    def plain_step(self, tokens: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Forward, backward, clip each replica by its own norm, step; returns the losses [replicas]."""
        losses = vmap(self.recipe.loss)(self.scores(tokens, mask), target)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = (self.recipe.clip / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))
        self.optimizer.step()
        return losses.detach()

    @torch.no_grad()
    def evaluate(self, splits: Sequence[Evaluation], watch: Watch = lambda *_: None) -> list[tuple[float, float]]:
        self.model.eval()
        totals = torch.zeros(3, len(splits), dtype=torch.float64)
        for batches in zip(*splits, strict=True):
            tokens, target, mask = stacked(batches)
            scores = self.scores(tokens, mask)
            losses = vmap(lambda scores, target: cross_entropy(scores, target, reduction="sum"))(scores, target)
            hits, asked = (which.flatten(1).sum(1) for which in (scores.argmax(-1) == target, target != IGNORE_INDEX))
            totals += torch.stack([hits, losses, asked]).cpu()
            for number in range(len(splits)):
                watch(number, scores[number].float(), target[number])
        self.model.train()
        return [(hits / asked, loss / asked) for hits, loss, asked in totals.T.tolist()]


def stacked(batches: Sequence[Rendered]) -> Batch:
    """One batch a replica as one, each tensor [replicas, ...]."""
    tokens, target, mask = zip(*batches, strict=True)
    return torch.stack(tokens), torch.stack(target), None if mask[0] is None else torch.stack(mask)
