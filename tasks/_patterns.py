"""What every task made of patterns shares: balanced labels, layouts drawn in chunks, tokens rendered a batch at a time.

A layout says which pattern lies in which cell. Pattern 0 is o_+, pattern 1 is o_-, the rest are irrelevant; target 1
stands for the label z = +1 and target 0 for z = -1 (arXiv 2602.12499).
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.errors import UserError
from harness.contracts.seeds import normal_noise, normal_stretch, seed_of

from ._chunks import CHUNK, in_chunks

PLUS, MINUS = 0, 1
FIRST_IRRELEVANT = 2

NoiseKind: TypeAlias = Literal["normal", "student", "correlated"]

STUDENT_DEGREES = 3
"""The fewest degrees of freedom, in whole numbers, at which Student's t has a variance: 3, and an infinite kurtosis."""

CORRELATION = 0.9
"""Between the noise of a token and that of the token before it, in the same feature."""


def token_noise(kind: NoiseKind, normal: Callable[[tuple[int, ...]], np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Noise float32 [batch, cells, features] for shape (cells, features), from independent normal draws.

    normal: draws standard normals float32 [batch, *shape].

    normal: independent N(0, 1). student: independent Student t of 3 degrees of freedom over sqrt(3).
    correlated: normal, first-order autoregressive along the sequence with correlation .9.
    """
    if kind == "student":
        drawn = normal((*shape, 1 + STUDENT_DEGREES))
        # t = Z / sqrt(chi^2 / degrees), of variance degrees / (degrees - 2)
        return drawn[..., 0] / np.sqrt(np.square(drawn[..., 1:]).sum(-1) / (STUDENT_DEGREES - 2))
    noise = normal(shape)
    if kind == "correlated":
        fresh = np.float32(np.sqrt(1 - CORRELATION**2))
        for cell in range(1, shape[0]):
            noise[:, cell] = np.float32(CORRELATION) * noise[:, cell - 1] + fresh * noise[:, cell]
    return noise


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
    """A two-class task that is known by its layouts; vectors, noise and noise_kind are those of PatternSamples.

    replacement: irrelevant patterns may repeat within a sequence. samples: makes samples of the fields of
    PatternSamples.
    """

    classes = 2
    chance = 0.5
    vectors: np.ndarray
    noise: float
    noise_kind: NoiseKind = "normal"
    replacement: bool = True
    samples: Callable[..., PatternSamples] = PatternSamples

    @abstractmethod
    def layout(self, target: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Draw the pattern in every cell: target [samples] -> unsigned integers [samples, cells]."""

    def sample(self, split: Split, count: int, seed: int) -> PatternSamples:
        def chunk(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            labels = balanced_labels(CHUNK, draw)
            return labels, self.layout(labels, draw)

        target, patterns = in_chunks(chunk, count, part="layout", split=split, seed=seed)
        return self.samples(
            target=target,
            patterns=patterns,
            vectors=self.vectors,
            noise=self.noise,
            noise_seed=noise_seed_of(split, seed),
            noise_kind=self.noise_kind,
        )


class LineTask(PatternTask):
    """A pattern task on a 1 x length grid whose patterns are the standard basis.

    Args:
        needed: irrelevant tokens of a sequence.

    Raises:
        UserError: drawn without replacement, they are more than there are irrelevant patterns.
    """

    def __init__(
        self, subject: str, length: int, needed: int, dim: int, noise: float, noise_kind: NoiseKind, replacement: bool
    ):
        if not replacement and needed > dim - FIRST_IRRELEVANT:
            raise UserError(
                f"{subject}: replacement=false needs as many irrelevant patterns (dim - 2) as irrelevant tokens"
                f" ({needed}), got dim={dim}; take dim={needed + FIRST_IRRELEVANT} or more, or replacement=true"
            )
        self.grid = (1, length)
        self.features = dim
        self.vectors = np.eye(dim, dtype=np.float32)
        self.noise, self.noise_kind, self.replacement = noise, noise_kind, replacement


def noise_seed_of(split: Split, seed: int) -> int:
    return seed_of(part="noise", split=split, seed=seed)


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
    kind = np.uint8 if patterns <= 256 else np.uint16
    if replacement:
        return draw.integers(FIRST_IRRELEVANT, patterns, size=shape, dtype=kind)
    supply = np.tile(np.arange(FIRST_IRRELEVANT, patterns, dtype=kind), (shape[0], 1))
    return draw.permuted(supply, axis=1)[:, : shape[1]]
