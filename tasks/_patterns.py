"""What every task made of patterns shares: balanced labels, layouts drawn in chunks, tokens rendered a batch at a time.

A layout says which pattern lies in which cell. Pattern 0 is o_+, pattern 1 is o_-, the rest are irrelevant; target 1
stands for the label z = +1 and target 0 for z = -1 (arXiv 2602.12499).
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.errors import UserError
from harness.seeds import generator, normal_noise, normal_stretch, seed_of

from ._noise import NoiseKind, token_noise

PLUS, MINUS = 0, 1
FIRST_IRRELEVANT = 2
CHUNK = 1024
"""Layouts are drawn this many at a time, each chunk from a generator of its own: memory stays small, and a larger data
set begins with the smaller one of the same seed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternSamples(Samples):
    """Sequences of noisy patterns: x = vectors[pattern] + noise * (noise of unit variance).

    target: int64 [count]. patterns: unsigned 8 or 16 bit integers [count, cells].
    vectors: float32 [patterns, features], orthonormal rows. noise: standard deviation in each feature.
    noise_kind: its distribution, see `token_noise`.
    """

    target: np.ndarray
    patterns: np.ndarray
    vectors: np.ndarray
    noise: float
    noise_seed: int
    noise_kind: NoiseKind = "normal"

    def batch(self, indices: np.ndarray) -> Batch:
        tokens = self.vectors[self.patterns[indices]]
        if self.noise:
            normal = functools.partial(normal_noise, self.noise_seed, indices)
            tokens += np.float32(self.noise) * token_noise(self.noise_kind, normal, tokens.shape[1:])
        return Batch(tokens=tokens, target=self.target[indices])

    def batch_once(self, start: int, stop: int) -> Batch:
        tokens = self.vectors[self.patterns[start:stop]]
        if self.noise:
            seed = seed_of(part="noise drawn once", seed=self.noise_seed, start=start)
            tokens += np.float32(self.noise) * token_noise(
                self.noise_kind, lambda shape: normal_stretch(seed, (len(tokens), *shape)), tokens.shape[1:]
            )
        return Batch(tokens=tokens, target=self.target[start:stop])


class PatternTask(Task):
    """A two-class task that is known by its layouts.

    vectors: float32 [patterns, features], what a pattern looks like. noise: standard deviation in each feature.
    noise_kind: its distribution.
    """

    classes = 2
    chance = 0.5
    vectors: np.ndarray
    noise: float
    noise_kind: NoiseKind = "normal"

    @abstractmethod
    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Draw the pattern in every cell: target [samples] -> unsigned integers [samples, cells]."""

    def sample(self, split: Split, count: int, seed: int) -> PatternSamples:
        target, patterns = self._draw(split, count, seed)
        return PatternSamples(
            target=target,
            patterns=patterns,
            vectors=self.vectors,
            noise=self.noise,
            noise_seed=noise_seed_of(split, seed),
            noise_kind=self.noise_kind,
        )

    def _draw(self, split: Split, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        target = np.empty(count, dtype=np.int64)
        patterns = np.empty((count, self.cells), dtype=pattern_type(len(self.vectors)))
        for chunk, start in enumerate(range(0, count, CHUNK)):
            draw = generator(seed_of(part="layout", split=split, seed=seed, chunk=chunk))
            labels = balanced_labels(CHUNK, draw)
            stop = min(start + CHUNK, count)
            # The whole chunk is drawn even where less is needed: sample i must not depend on count.
            patterns[start:stop] = self.layout(labels, draw)[: stop - start]
            target[start:stop] = labels[: stop - start]
        return target, patterns


def noise_seed_of(split: Split, seed: int) -> int:
    return seed_of(part="noise", split=split, seed=seed)


def pattern_type(patterns: int) -> type[np.unsignedinteger]:
    """The smallest unsigned integer type that can name so many patterns."""
    return np.uint8 if patterns <= 256 else np.uint16


def balanced_labels(count: int, draw: np.random.Generator) -> np.ndarray:
    """Labels int64 [count] (count even): each successive pair holds one of either class, in random order."""
    first = draw.integers(0, 2, size=count // 2)
    return np.stack([first, 1 - first], axis=1).reshape(-1)


def class_patterns(target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pattern that a sample's label names, and the other one: both [samples]."""
    return np.where(target == 1, PLUS, MINUS), np.where(target == 1, MINUS, PLUS)


def irrelevant_patterns(
    shape: tuple[int, int], patterns: int, draw: np.random.Generator, *, replacement: bool = True
) -> np.ndarray:
    """Irrelevant patterns [samples, cells], uniform over FIRST_IRRELEVANT..patterns-1.

    Without replacement no pattern occurs twice in a row; there must be enough of them.
    """
    kind = pattern_type(patterns)
    if replacement:
        return draw.integers(FIRST_IRRELEVANT, patterns, size=shape, dtype=kind)
    supply = np.tile(np.arange(FIRST_IRRELEVANT, patterns, dtype=kind), (shape[0], 1))
    return draw.permuted(supply, axis=1)[:, : shape[1]]


def check_supply(subject: str, *, needed: int, dim: int, replacement: bool) -> None:
    """Irrelevant patterns drawn without replacement must not run out.

    Raises:
        UserError: more irrelevant tokens than irrelevant patterns.
    """
    if not replacement and needed > dim - FIRST_IRRELEVANT:
        raise UserError(
            f"{subject}: replacement=false needs as many irrelevant patterns (dim - 2) as irrelevant tokens ({needed}),"
            f" got dim={dim}; take dim={needed + FIRST_IRRELEVANT} or more, or replacement=true"
        )
