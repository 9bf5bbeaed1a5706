"""Many trials of one cell under the paper's protocol at once, for devices that one trial leaves idle.

Each trial has its own data, initialization and end; what it comes to equals a trial alone up to rounding. Tested on a
CPU, where it does not pay and one trial a core is faster; docs/gpu.md says what of it has run on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from .full_batch import FusedGradient, LabelledTokens
from .gradient_torch import hinge_gradient_replicas
from .recipe import PaperRecipe
from .train import Trial

DEVICE = "cuda"
"""Where alone the command line allows it: what changes here makes no CPU record stale."""

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""Tokens [R, N, L, d] in route order, labels [R, N], scores [R, N, L, L] or None for x_t . x_s."""


class StackedGradient:
    """The gradients of trials, one computation for all of them.

    Raises:
        TypeError: a mixer without the fused gradient, which trains one trial at a time.
    """

    def __init__(self, trials: Sequence[Trial], recipe: PaperRecipe):
        self._population = recipe.population
        self._going: Sequence[Trial] = ()
        self._sets: dict[Trial, LabelledTokens] = {}
        self._batch: Batch | None = None
        self._gradients: dict[Trial, FusedGradient] = {}
        for trial in trials:
            if not isinstance(trial.gradient, FusedGradient):
                raise TypeError(f"{trial.architecture} has scores that training changes")
            self._gradients[trial] = trial.gradient

    @torch.no_grad()
    def __call__(self, trials: Sequence[Trial]) -> list[float]:
        """Sets the gradients of the trials that still go on; returns their losses before the step."""
        if self._batch is None or self._population or len(trials) < len(self._going):
            self._going, self._batch = trials, self._stacked(trials)
        tokens, labels, scores = self._batch
        models = [trial.model for trial in trials]
        gates: list[Any] = [model.first_mixer.w_D for model in models]  # [d]; a buffer of zeros where the gate is held
        hidden, signs = ([getattr(model, name) for model in models] for name in ("hidden", "signs"))
        found = hinge_gradient_replicas(tokens, labels, *map(torch.stack, (gates, hidden, signs)), scores=scores)
        for trial, gate, gate_gradient, hidden_gradient in zip(trials, gates, found.gate, found.hidden, strict=True):
            trial.model.hidden.grad = hidden_gradient
            if gate.requires_grad:
                gate.grad = gate_gradient
            trial.gradient.kernel = f"torch gated gradient/{tokens.device.type}"
        return found.losses.tolist()

    def _stacked(self, trials: Sequence[Trial]) -> Batch:
        """The next training sets of the trials, or their only ones again when a trial has ended."""
        for trial in trials:
            if (data := next(trial.sets, None)) is not None:
                self._sets[trial] = self._gradients[trial].in_route_order(data[0]), data[1]
        tokens, labels = zip(*(self._sets[trial] for trial in trials), strict=True)
        scores: list[Any] = [self._gradients[trial].scores(x) for trial, x in zip(trials, tokens, strict=True)]
        return torch.stack(tokens), torch.stack(labels), None if scores[0] is None else torch.stack(scores)
