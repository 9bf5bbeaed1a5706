"""Trivial controls: what a task gives away to methods that are no sequence models, on a run's own test draw.

A mixer that stays below logistic regression has not been trained, whatever stands beside it in the table.

- majority: the class that most training answers have.
- logistic regression: multinomial, on the flattened input.
- nearest neighbour: the class of the training example with the nearest input.
- bag of tokens: logistic regression on how often each id occurs, or on the mean token, whatever its place.

An example is a sequence and its class. Of per-token targets it is a cell that is asked for, and its input is the
sequence as seen from there: cells stand at their distance from it, later ones only where they do not hold the answer,
and the bag is put beside the cell's own token. Tokens that are ids are one-hot. Fitted on the first training examples,
scored on the first of the test draw.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np

from harness.contracts import IGNORE_INDEX, Split, Task
from harness.registry.cells import parse_task

from .data import Data

FITTED, TESTED = 4000, 2000
"""Examples that are fitted on, and scored on, at most."""

MOST_WEIGHTS = 1_000_000
"""A logistic regression with more (features x classes) is left out: it would take longer than the runs beside it."""

ITERATIONS = 100

NAMES = ("majority", "logistic_regression", "nearest_neighbour", "bag_of_tokens")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """flat: [examples, features], a numpy array or of ids a sparse one; bag: likewise; target: int64 [examples]."""

    flat: object
    bag: object
    target: np.ndarray


def controls(
    task: Task, *, spec: str, seed: int = 0, train_samples: int = FITTED, test_samples: int = TESTED
) -> dict[str, float | None]:
    """Test accuracy of each control by its name, on the test draw of the run with this seed.

    None where a control would take too long (a logistic regression over a large vocabulary), all of them where
    sequences are irregular, which no flat input holds, and all but the majority where the model itself may not read
    the cells (`Task.from_final_step`).

    Args:
        spec: the task's canonical text, which decides what is drawn. train_samples, test_samples: sequences of the run.

    Returns:
        of "digits", say: {"majority": 0.1, "logistic_regression": 0.95, "nearest_neighbour": 0.97, ...}
    """
    if task.irregular:
        return dict.fromkeys(NAMES)
    data = Data(task, spec=spec, seed=seed)
    fit = _examples(data, "train", min(train_samples, FITTED), FITTED)
    held_out = _examples(data, "test", min(test_samples, TESTED), TESTED)
    majority = float(np.mean(held_out.target == np.bincount(fit.target).argmax()))
    if task.from_final_step:
        return dict.fromkeys(NAMES) | {"majority": majority}
    return {
        "majority": majority,
        "logistic_regression": _logistic(task, fit.flat, held_out.flat, fit.target, held_out.target),
        "nearest_neighbour": _nearest(fit, held_out),
        "bag_of_tokens": _logistic(task, fit.bag, held_out.bag, fit.target, held_out.target),
    }


def _examples(data: Data, split: Split, sequences: int, most: int) -> Examples:
    samples = data.samples(split, sequences)
    batch = samples.batch(np.arange(len(samples)))
    tokens = batch.tokens if batch.mask is None else np.where(batch.mask[..., None], batch.tokens, 0)
    rows, cells = np.arange(len(samples)), np.zeros(len(samples), dtype=np.int64)
    target = batch.target
    if data.task.per_token_targets:
        rows, cells = np.nonzero(target != IGNORE_INDEX)
        kept = slice(0, most)
        rows, cells = rows[kept], cells[kept]
        target = target[rows, cells]
    if data.task.vocabulary:
        real = np.ones(tokens.shape[:2], dtype=bool) if batch.mask is None else batch.mask
        return _of_ids(data.task, tokens[..., 0], real, rows, cells, target)
    return _of_vectors(data.task, tokens, rows, cells, target)


def _of_vectors(task: Task, tokens: np.ndarray, rows: np.ndarray, cells: np.ndarray, target: np.ndarray) -> Examples:
    count, length, features = len(rows), tokens.shape[1], tokens.shape[2]
    bag = tokens.mean(axis=1)[rows]
    if not task.per_token_targets:
        return Examples(flat=tokens[rows].reshape(count, -1), bag=bag, target=target)
    flat = np.zeros((count, 2 * length - 1, features), dtype=np.float32)
    for example, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        seen = cell + 1 if task.next_token else length
        flat[example, length - 1 - cell : length - 1 - cell + seen] = tokens[row, :seen]
    return Examples(flat=flat.reshape(count, -1), bag=np.concatenate([bag, tokens[rows, cells]], axis=1), target=target)


def _of_ids(
    task: Task, ids: np.ndarray, real: np.ndarray, rows: np.ndarray, cells: np.ndarray, target: np.ndarray
) -> Examples:
    from scipy.sparse import csr_array, hstack

    count, length, vocabulary = len(rows), ids.shape[1], task.vocabulary
    shown = real[rows]
    if task.next_token:
        shown &= np.arange(length) <= cells[:, None]
    example, cell = np.nonzero(shown)
    found = ids[rows][example, cell]
    places = cell + (length - 1 - cells[example] if task.per_token_targets else 0)
    ones, width = np.ones(len(found), dtype=np.float32), (2 * length - 1 if task.per_token_targets else length)
    flat = csr_array((ones, (example, places * vocabulary + found)), shape=(count, width * vocabulary))
    bag = csr_array((ones, (example, found)), shape=(count, vocabulary))
    if task.per_token_targets:
        own = (np.ones(count, dtype=np.float32), (np.arange(count), ids[rows, cells]))
        bag = hstack([bag, csr_array(own, shape=(count, vocabulary))], format="csr")
    return Examples(flat=flat, bag=bag, target=target)


def _logistic(task: Task, fit, held_out, target: np.ndarray, answers: np.ndarray) -> float | None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = len(np.unique(target))
    if classes < 2:
        return float(np.mean(answers == target[0]))
    used = np.flatnonzero(np.asarray(abs(fit).sum(axis=0)).ravel())  # of ids most places never hold most
    if len(used) * classes > MOST_WEIGHTS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=ITERATIONS).fit(fit[:, used], target)
    return float(model.score(held_out[:, used], answers))


def _nearest(fit: Examples, held_out: Examples) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are many classes
        model = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(fit.flat, fit.target)
    return float(model.score(held_out.flat, held_out.target))


@functools.lru_cache(maxsize=64)
def controls_of(
    task: str, seed: int = 0, train_samples: int = FITTED, test_samples: int = TESTED
) -> dict[str, float | None]:
    """The controls of a canonical task text; fitted once a process."""
    return controls(parse_task(task), spec=task, seed=seed, train_samples=train_samples, test_samples=test_samples)
