"""The gradient of the mean hinge loss over a training set: fused where the mixer allows it, autograd elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class FullBatchGradient:
    """Puts gradients into a model's parameters: torch's own, a few hundred sequences at a time.

    kernel: what really ran last, `package version/path`.
    """

    kernel = "not run"

    def __init__(self, model: PaperModel):
        self.model = model

    def bind(self, data: LabelledTokens) -> Any:
        """Make ready for `data` what does not change while it is trained on."""
        return data

    def backward(self, bound: Any) -> float:
        """Set every parameter's `grad`; returns the mean hinge loss before the step."""
        self.model.zero_grad(set_to_none=True)
        count, total = len(bound[0]), 0.0
        for tokens, labels in _parts(bound):
            loss = (1 - labels * self.model(tokens)).clamp(min=0).sum() / count
            loss.backward()
            total += loss.item()
        self.kernel = self.model.kernel
        return total

    @torch.no_grad()
    def evaluate(self, bound: Any) -> tuple[float, float]:
        """Mean hinge loss and accuracy."""
        margins = torch.cat([labels * self.model(tokens) for tokens, labels in _parts(bound)])
        self.kernel = self.model.kernel
        return hinge_and_accuracy(margins)


class FusedGradient(FullBatchGradient):
    """Scores once a data set, then the hand-written gradient of Eqs. 5-6. See `harness.training.paper.gradient`."""

    def __init__(self, model: PaperModel):
        super().__init__(model)
        self._mixer: Any = model.first_mixer  # the simplified SSM: it has w_D and fixed_scores
        self._route: Tensor = model.mixers[0].routes[0]  # type: ignore[index, assignment, union-attr]
        self.scores: Callable[[Tensor], Tensor | None] = self._mixer.fixed_scores  # of tokens in route order

    def bind(self, data: LabelledTokens) -> HingeGradient:
        tokens, labels = data
        tokens = self.in_route_order(tokens)
        return HingeGradient(tokens, labels, self.scores(tokens), frozen_gate=not self._mixer.w_D.requires_grad)

    def in_route_order(
        self, tokens: Float[Tensor, "samples cells features"]
    ) -> Float[Tensor, "samples length features"]:
        """Tokens as the recurrence meets them."""
        return tokens.index_select(1, self._route)

    @torch.no_grad()
    def backward(self, bound: HingeGradient) -> float:
        gradient = bound(self._mixer.w_D, self.model.hidden, self.model.signs)
        self.kernel = bound.kernel
        self.model.hidden.grad = gradient.hidden
        if self._mixer.w_D.requires_grad:
            self._mixer.w_D.grad = gradient.gate
        return gradient.loss

    @torch.no_grad()
    def evaluate(self, bound: HingeGradient) -> tuple[float, float]:
        outputs = bound.outputs(self._mixer.w_D, self.model.hidden, self.model.signs)
        return hinge_and_accuracy(bound.labels * outputs)


def gradient_for(model: PaperModel) -> FullBatchGradient:
    """The fused gradient for one simplified SSM with scores that stay what they are, autograd for everything else."""
    fused = len(model.mixers) == 1 and model.routing.is_plain and model.first_mixer.scores_are_fixed
    return FusedGradient(model) if fused else FullBatchGradient(model)


def _parts(data: LabelledTokens) -> Iterator[LabelledTokens]:
    tokens, labels = data
    yield from zip(tokens.split(AUTOGRAD_SAMPLES), labels.split(AUTOGRAD_SAMPLES), strict=True)


def hinge_and_accuracy(margins: Float[Tensor, " samples"]) -> tuple[float, float]:
    """Mean of max(0, 1 - margin) and the share of positive margins; F = 0 guesses neither class and counts a half."""
    right = (margins > 0).float() + 0.5 * (margins == 0)
    return float((1 - margins).clamp(min=0).mean()), float(right.mean())
