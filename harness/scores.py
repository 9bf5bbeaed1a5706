"""What is said of a classifier beside its accuracy: the area under the ROC curve, and F1."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


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
