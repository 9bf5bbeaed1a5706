"""The gradient of the mean hinge loss over a training set: fused where the mixer allows it, autograd elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from .gradient import HingeGradient
from .model import PaperModel

LabelledTokens: TypeAlias = tuple[Float[Tensor, "samples cells features"], Float[Tensor, " samples"]]
"""Sequences in cell order and their labels z, +1 or -1."""

AUTOGRAD_SAMPLES = 500
"""Sequences whose graph is held at a time."""


class Descent(ABC):
    """Puts gradients into a model's parameters."""

    @property
    @abstractmethod
    def kernel(self) -> str:
        """What really ran last: `package version/path`."""

    @abstractmethod
    def bind(self, data: LabelledTokens) -> Any:
        """Make ready for `data` what does not change while it is trained on."""

    @abstractmethod
    def backward(self, bound: Any) -> float:
        """Set every parameter's `grad`; returns the mean hinge loss before the step."""

    @abstractmethod
    def evaluate(self, bound: Any) -> tuple[float, float]:
        """Mean hinge loss and accuracy."""


def descent_for(model: PaperModel) -> Descent:
    """The fused gradient for one simplified SSM with scores that stay what they are, autograd for everything else."""
    if len(model.mixers) == 1 and model.routing.is_plain and model.first_mixer.scores_are_fixed:
        return FusedDescent(model)
    return AutogradDescent(model)


class FusedDescent(Descent):
    """Scores once a data set, then the hand-written gradient of Eqs. 5-6. See `harness.paper.gradient`."""

    def __init__(self, model: PaperModel):
        self._kernel = "not run"
        self._model = model
        self._mixer: Any = model.first_mixer  # the simplified SSM: it has w_D and fixed_scores
        self._route: Tensor = model.mixers[0].routes[0]  # type: ignore[index, assignment, union-attr]

    @property
    def kernel(self) -> str:
        return self._kernel

    def bind(self, data: LabelledTokens) -> HingeGradient:
        tokens, labels = data
        tokens = self.in_route_order(tokens)
        return HingeGradient(tokens, labels, self.scores(tokens), frozen_gate=not self._mixer.w_D.requires_grad)

    def in_route_order(
        self, tokens: Float[Tensor, "samples cells features"]
    ) -> Float[Tensor, "samples length features"]:
        """Tokens as the recurrence meets them."""
        return tokens.index_select(1, self._route)

    def scores(self, tokens: Float[Tensor, "samples length features"]) -> Float[Tensor, "samples length length"] | None:
        """The scores of tokens in route order; None stands for x_t . x_s."""
        return self._mixer.fixed_scores(tokens)

    @torch.no_grad()
    def backward(self, bound: HingeGradient) -> float:
        model = self._model
        gradient = bound(self._mixer.w_D, model.hidden, model.signs)
        self._kernel = bound.kernel
        model.hidden.grad = gradient.hidden
        if self._mixer.w_D.requires_grad:
            self._mixer.w_D.grad = gradient.gate
        return gradient.loss

    @torch.no_grad()
    def evaluate(self, bound: HingeGradient) -> tuple[float, float]:
        outputs = bound.outputs(self._mixer.w_D, self._model.hidden, self._model.signs)
        return hinge_and_accuracy(bound.labels * outputs)


class AutogradDescent(Descent):
    """torch's own gradient, a few hundred sequences at a time."""

    def __init__(self, model: PaperModel):
        self._model = model

    @property
    def kernel(self) -> str:
        return self._model.kernel

    def bind(self, data: LabelledTokens) -> LabelledTokens:
        return data

    def backward(self, bound: LabelledTokens) -> float:
        self._model.zero_grad(set_to_none=True)
        count, total = len(bound[0]), 0.0
        for tokens, labels in _parts(bound):
            loss = (1 - labels * self._model(tokens)).clamp(min=0).sum() / count
            loss.backward()
            total += loss.item()
        return total

    @torch.no_grad()
    def evaluate(self, bound: LabelledTokens) -> tuple[float, float]:
        return hinge_and_accuracy(torch.cat([labels * self._model(tokens) for tokens, labels in _parts(bound)]))


def _parts(data: LabelledTokens) -> Iterator[LabelledTokens]:
    tokens, labels = data
    yield from zip(tokens.split(AUTOGRAD_SAMPLES), labels.split(AUTOGRAD_SAMPLES), strict=True)


def hinge_and_accuracy(margins: Float[Tensor, " samples"]) -> tuple[float, float]:
    """Mean of max(0, 1 - margin) and the share of positive margins; F = 0 guesses neither class and counts a half."""
    right = (margins > 0).float() + 0.5 * (margins == 0)
    return float((1 - margins).clamp(min=0).mean()), float(right.mean())
