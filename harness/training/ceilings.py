"""How far one gets on a task without learning what it asks for, and how far one could get.

A task that claims to test locality must not be solvable from token counts or from positions alone. Both shortcuts
are measured here as naive Bayes, the best additive log-likelihood score: log-likelihood ratios of single features,
fitted on one draw of samples, summed, and scored on another.

- order-blind: the features are how often each pattern occurs.
- position-marginal: the features are which pattern each cell holds. No cell is paired with another.

What the second one does not rule out: with equal marginals the classes have the same mean in every linear feature, so
a linear fit under any convex loss is at chance as well (by Jensen's inequality a constant fit loses no more). But a
*threshold* on an additive score may still beat chance, because a clustered set of tokens scatters more than a dispersed
one. Count, on the default locality2d, the tokens of class pattern 0 in the left half of the image: both classes expect
2 of 4, yet the rule "none there, so it is the concentrated one" is right about two times in three. That uses spread,
which is what the task asks about, and not position; it is no leak, but no pairing of cells either.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples, Task
from harness.contracts.seeds import seed_of
from harness.registry.cells import parse_task

CHUNK_ENTRIES = 1 << 22
"""Features are gone through this many at a time, so that 64 x 64 cells fit into memory too."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A share of right guesses, estimated from `count` samples."""

    value: float
    count: int

    @property
    def standard_error(self) -> float:
        """Of the share, with two right and two wrong guesses added: it is never zero (Agresti and Coull)."""
        share = (self.value * self.count + 2) / (self.count + 4)
        return float(np.sqrt(share * (1 - share) / (self.count + 4)))


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Accuracies that a task's scores are read against; None where they do not apply.

    chance: the best constant guess. order_blind: from token counts alone. position_marginal: from which pattern stands
    where, without pairing. oracle: the best guess from noise-free patterns and their places.
    """

    chance: float
    order_blind: Accuracy | None
    position_marginal: Accuracy | None
    oracle: Accuracy | None


SAMPLES, IRREGULAR_CELLS = 20_000, 4_000_000
"""Samples that ceilings are estimated from; of irregular ones, drawn one by one, 500 to 4,000 by their cells."""


def ceilings(task: Task, count: int | None = None, seed: int = 0) -> Ceilings:
    """Estimate a task's ceilings: fit on half of `count` samples, score on the other half, a separate draw.

    Order-blind and position-marginal are None for tasks without patterns or with a question at cells, the oracle for
    tasks without one. The default takes about a second for 8 x 8 cells, and the standard error of an accuracy is then
    .005 or less.
    """
    if count is None:
        count = min(4000, max(500, IRREGULAR_CELLS // task.longest)) if task.irregular else SAMPLES
    fit = task.sample("train", count // 2, seed_of(purpose="ceilings", split="train", seed=seed))
    held_out = task.sample("test", count - count // 2, seed_of(purpose="ceilings", split="test", seed=seed))
    order_blind = position_marginal = None
    if fit.patterns is not None and held_out.patterns is not None and not task.per_token_targets:
        kinds = int(max(fit.patterns.max(), held_out.patterns.max())) + 1
        histograms = [_histograms(patterns, kinds) for patterns in (fit.patterns, held_out.patterns)]
        most = int(max(histogram.max() for histogram in histograms)) + 1
        order_blind = _additive_accuracy(task, fit, held_out, *histograms, values=most, shrink_axis=2)
        position_marginal = _additive_accuracy(
            task, fit, held_out, fit.patterns, held_out.patterns, values=kinds, shrink_axis=1
        )
    guess = task.oracle(held_out)
    return Ceilings(
        chance=task.chance,
        order_blind=order_blind,
        position_marginal=position_marginal,
        oracle=None if guess is None else _accuracy(guess, held_out),
    )


def _accuracy(guess: np.ndarray, samples: Samples) -> Accuracy:
    asked = samples.target != IGNORE_INDEX
    return Accuracy(value=float(np.mean(guess[asked] == samples.target[asked])), count=len(samples))


def _histograms(patterns: np.ndarray, kinds: int) -> np.ndarray:
    """How often each pattern occurs: [samples, cells] -> [samples, kinds]."""
    histograms = np.empty((len(patterns), kinds), dtype=np.int32)
    for rows in _chunks(patterns):
        slots = np.arange(rows.stop - rows.start)[:, None] * kinds + patterns[rows]
        histograms[rows] = np.bincount(slots.ravel(), minlength=slots.shape[0] * kinds).reshape(-1, kinds)
    return histograms


def _additive_accuracy(
    task: Task,
    fit: Samples,
    held_out: Samples,
    fit_features: np.ndarray,
    held_out_features: np.ndarray,
    *,
    values: int,
    shrink_axis: int,
) -> Accuracy:
    """Naive Bayes over features [samples, slots] of small whole numbers below `values`, assumed independent."""
    slots = fit_features.shape[1]
    tables = np.stack([_table(fit_features[fit.target == label], values) for label in range(task.classes)])
    scores = _shrunken_log_ratios(tables, shrink_axis)
    totals = np.empty((len(held_out), task.classes))
    for rows in _chunks(held_out_features):
        for label in range(task.classes):
            totals[rows, label] = scores[label, np.arange(slots), held_out_features[rows]].sum(axis=1)
    totals += np.log(np.bincount(fit.target, minlength=task.classes).clip(1))
    return _accuracy(totals.argmax(axis=1), held_out)


def _table(features: np.ndarray, values: int) -> np.ndarray:
    """How often each slot took each value: [samples, slots] -> [slots, values]."""
    slots = features.shape[1]
    table = np.zeros(slots * values)
    for rows in _chunks(features):
        entries = np.arange(slots) * values + features[rows]
        table += np.bincount(entries.ravel(), minlength=len(table))
    return table.reshape(slots, values)


def _shrunken_log_ratios(tables: np.ndarray, axis: int) -> np.ndarray:
    """Ratios log p(value | class) / p(value), shrunk where it is no more than noise: [classes, slots, values].

    With thousands of entries, the noise of those that tell nothing (every irrelevant pattern in every cell) would
    drown those that do. So entries along `axis` are shrunk together, by the share of their scatter that their standard
    errors do not explain (empirical Bayes, positive part): ratios that scatter no more than chance count for nothing.
    """
    totals = tables.sum(axis=-1, keepdims=True)
    pooled = tables.sum(axis=0, keepdims=True)
    share = pooled / pooled.sum(axis=-1, keepdims=True).clip(1)
    # One pseudo-observation of the pooled distribution a class keeps every logarithm finite.
    smoothed = (tables + share + 1e-9) / (totals + 1)
    ratios = np.log(smoothed) - np.log(share + 1e-9)
    # Variance of such a ratio: that of log(count), less what the class shares with the pool.
    noise = ((1 - totals / totals.sum(axis=0)) / (totals * share + 1)).clip(1e-12)
    seen = np.broadcast_to(pooled > 0, ratios.shape)
    ratios = np.where(seen, ratios, 0)
    # Weights by precision: an entry that occurred twice says little about its neighbours.
    weight = np.where(seen, 1 / noise, 0)
    scatter = (weight * ratios**2).sum(axis=axis, keepdims=True)
    degrees = seen.sum(axis=axis, keepdims=True)
    excess = scatter - degrees
    significant = excess > 2 * np.sqrt(2 * degrees)
    kept = np.where(significant, excess / scatter.clip(1e-12), 0)
    return ratios * kept


def _chunks(features: np.ndarray) -> Iterator[slice]:
    step = max(1, CHUNK_ENTRIES // max(1, features.shape[1]))
    for start in range(0, len(features), step):
        yield slice(start, min(start + step, len(features)))


@functools.lru_cache(maxsize=64)
def ceilings_of(task: str) -> Ceilings:
    """The ceilings of a canonical task text; estimated once a process."""
    return ceilings(parse_task(task))
