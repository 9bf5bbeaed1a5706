"""What a training run under the paper's protocol went through: losses, end points, trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from harness.contracts import Task

from .alignment import Alignment
from .model import PaperModel
from .recipe import PaperRecipe

MOST_POINTS = 200
"""Points that a stored curve has at most (twice as many just before it is thinned); end points are read off each."""


class TrainingHistory:
    """The curve of a run and the two end points on it.

    Args:
        model: the model, whose directions are followed where the task is made of patterns. task, device, recipe: the
            run's.
    """

    def __init__(self, model: PaperModel, task: Task, device: str, recipe: PaperRecipe):
        vectors = getattr(task, "vectors", None)
        self.alignment = None if vectors is None else Alignment(model, torch.from_numpy(vectors).to(device))
        self.recipe = recipe
        self.converged: int | None = None
        self.learned: int | None = None
        self.curve: dict[str, list[Any]] = {"step": [], "test_loss": [], "test_accuracy": [], "train_loss": []}
        self._every = 1
        self._calls = 0
        self._area: list[float] = []

    def add(self, step: int, loss: float, accuracy: float, train_loss: float, *, last: bool) -> bool:
        """Note an evaluation; returns whether training is over."""
        recipe = self.recipe
        if self.learned is None and accuracy >= recipe.accuracy_threshold:
            self.learned = step
        if self.converged is None and loss < recipe.loss_threshold:
            self.converged = step
        over = last or (recipe.stop and self.converged is not None)
        self._area.append(accuracy)
        if over or self._calls % self._every == 0:
            for name, value in zip(self.curve, (step, loss, accuracy, train_loss), strict=True):
                self.curve[name].append(value)
            if self.alignment is not None:
                self.alignment.record()
            if not over and len(self.curve["step"]) >= 2 * MOST_POINTS:
                self._every *= 2
                for values in (*self.curve.values(), *(self.alignment.values.values() if self.alignment else ())):
                    del values[1::2]
        self._calls += 1
        return over

    def as_record(self, *, validation: tuple[float, float]) -> dict[str, Any]:
        """The columns of a record; validation is (loss, accuracy) after training.

        validation_score, by which a learning rate is chosen (on seeds, and so data, of its own): of runs that have
        converged the fastest; of others the one with the lowest validation loss.
        """
        loss, accuracy = validation
        speed = None if self.converged is None else 1 - self.converged / (self.recipe.steps + 1)
        return {
            "test_accuracy": self.curve["test_accuracy"][-1],
            "test_loss": self.curve["test_loss"][-1],
            "test_samples": self.recipe.test_samples,
            "validation_accuracy": accuracy,
            "validation_loss": loss,
            "validation_score": -loss if speed is None else speed,
            "threshold_accuracy": self.recipe.accuracy_threshold,
            "steps_to_threshold": self.learned,
            "steps_to_convergence": self.converged,
            "steps": self.curve["step"][-1],
            "step_budget": self.recipe.steps,
            "mean_validation_accuracy": float(np.mean(self._area)),
            "learning_rate": self.recipe.learning_rate,
            "curve": {
                **{name: [_short(value) for value in values] for name, values in self.curve.items()},
                **(self.alignment.values if self.alignment else {}),
            },
        }


def _short(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return None if value != value else float(f"{value:.6g}")
