"""What is said of a classifier: accuracy and cross-entropy, the area under the ROC curve, and F1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from harness.contracts import IGNORE_INDEX
from harness.training.data import Evaluation


def cross_entropy(scores: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Of scores [..., classes] to targets [...], over what is asked."""
    return functional.cross_entropy(
        scores.flatten(0, -2), target.flatten(), reduction=reduction, ignore_index=IGNORE_INDEX
    )


def asked_scores(model: nn.Module, tokens: Tensor, target: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
    """Scores and targets of what is asked: with a vocabulary of thousands, scoring every cell costs more than mixing.

    On a GPU of every cell: how many are asked is not known there without waiting, and a captured step keeps its shapes.
    """
    if target.dim() < 2 or target.is_cuda:
        return model(tokens, mask), target
    asked = target != IGNORE_INDEX
    return model(tokens, mask, asked), target[asked]


@torch.no_grad()
def evaluate(
    model: nn.Module, split: Evaluation, watch: Callable[[Tensor, Tensor], None] = lambda *_: None
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy over all that a split asks: its sequences, or the cells that it asks at.

    watch: is shown the scores and targets of every batch.
    """
    model.eval()
    correct, loss, count = 0, 0.0, 0
    for tokens, target, mask in split:
        scores, target = asked_scores(model, tokens, target, mask)
        correct += int((scores.argmax(-1) == target).sum())
        loss += float(cross_entropy(scores, target, reduction="sum"))
        count += int((target != IGNORE_INDEX).sum())
        watch(scores.float(), target)
    model.train()
    return correct / count, loss / count


def class_scores(probabilities: np.ndarray, target: np.ndarray) -> dict[str, float | None]:
    """AUC and F1 of one class a sequence, as records keep them.

    Args:
        probabilities: [count, classes]. target: [count].

    Returns:
        test_auc: of two classes, the chance that a random sequence of class 1 is given a higher probability of it than
        one of class 0, ties counting half; of more, the mean over each class against the rest. None where a class does
        not occur. test_f1: the mean over classes of 2 TP / (2 TP + FP + FN), 0 for a class that nothing is right in.
    """
    classes = probabilities.shape[1]
    areas = [_area(probabilities[:, label], target == label) for label in ((1,) if classes == 2 else range(classes))]
    guess = probabilities.argmax(axis=1)
    hits = np.bincount(target[guess == target], minlength=classes)
    met = np.bincount(target, minlength=classes) + np.bincount(guess, minlength=classes)
    known = [area for area in areas if area is not None]
    return {
        "test_auc": float(np.mean(known)) if len(known) == len(areas) else None,
        "test_f1": float(np.mean(2 * hits / met.clip(1))),
    }


def _area(score: np.ndarray, positive: np.ndarray) -> float | None:
    """From the ranks of the positives (Mann and Whitney)."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    return float((rankdata(score)[positive].sum() - count * (count + 1) / 2) / (count * others))
