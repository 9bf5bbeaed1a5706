"""Noise that is added to tokens: unit variance in every feature, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

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
