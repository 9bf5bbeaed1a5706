"""How far a model's directions point at the task's patterns: the trajectories of figures 2, 4 and 5."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .model import PaperModel

ROLES = ("plus", "minus", "irrelevant")


class Alignment:
    """Cosines and gates over training, one value a recorded step.

    Args:
        model: the model that is trained.
        patterns: [patterns, features], orthonormal; o_+ first, o_- second, then the irrelevant ones.

    `values` holds lists, one entry a call of `record`:
        gate_cosine_{plus, minus, irrelevant}: cosine of the gate's direction w_D with o_+, with o_-, and its mean over
            irrelevant patterns; for a mixer with several gate directions the mean over them. 0 while w_D = 0.
        gate_input_{...}: w_D . o, what the gate sees of a noise-free pattern; `_lowest` and `_highest` over irrelevant.
        hidden_positive_{...}: mean over the rows of W_O with v > 0 of their cosine with the pattern; hidden_negative.
        gate_alignment_{relevant, irrelevant}: root mean square of the cosines of all gate directions with o_+ and o_-,
            and with the irrelevant patterns, whatever their sign; hidden_alignment_{...}: of all rows of W_O. A random
            direction has 1/sqrt(features) with either.
    A mixer without gate directions has the hidden rows only.
    """

    def __init__(self, model: PaperModel, patterns: Float[Tensor, "patterns features"]):
        self._model = model
        self._patterns = patterns
        self.values: dict[str, list[float]] = {}

    @torch.no_grad()
    def record(self) -> None:
        """Note where the directions point now."""
        hidden = cosines(self._model.hidden, self._patterns)
        for sign, rows in (("positive", self._model.signs > 0), ("negative", self._model.signs < 0)):
            self._note(f"hidden_{sign}", hidden[rows].mean(0) if rows.any() else hidden.new_zeros(hidden.shape[1]))
        self._note_alignment("hidden", hidden)
        directions = self._model.first_mixer.gate_directions()
        if directions is None:
            return
        seen = (directions @ self._patterns.T).mean(0)
        gates = cosines(directions, self._patterns)
        self._note("gate_cosine", gates.mean(0))
        self._note_alignment("gate", gates)
        self._note("gate_input", seen)
        self._put("gate_input_irrelevant_lowest", seen[2:].min())
        self._put("gate_input_irrelevant_highest", seen[2:].max())

    def _note(self, name: str, by_pattern: Tensor) -> None:
        for role, value in zip(ROLES, (by_pattern[0], by_pattern[1], by_pattern[2:].mean()), strict=True):
            self._put(f"{name}_{role}", value)

    def _note_alignment(self, what: str, cosine: Tensor) -> None:
        """Squares are averaged over rows and patterns before the root: the mean of roots would depend on how many."""
        for role, some in (("relevant", cosine[:, :2]), ("irrelevant", cosine[:, 2:])):
            self._put(f"{what}_alignment_{role}", some.square().mean().sqrt())

    def _put(self, name: str, value: Tensor) -> None:
        self.values.setdefault(name, []).append(round(float(value), 6))


def cosines(
    directions: Float[Tensor, "rows features"], patterns: Float[Tensor, "patterns features"]
) -> Float[Tensor, "rows patterns"]:
    """Cosine of each direction with each pattern (unit vectors); 0 for a direction of length 0."""
    return (directions @ patterns.T) / directions.norm(dim=1, keepdim=True).clamp(min=1e-30)
