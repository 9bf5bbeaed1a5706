"""How often the two sets of `_dispersion` cover each cell, exactly (ours).

No sets need to be enumerated: every cell outside S's window is in D or not, every cell inside is in S, in D or in
neither. So, up to constant factors, with n = q * q and e_j the elementary symmetric polynomials of w,

    P(accept) = sum over windows, sum over j of C(n - j, count) * e_j(w inside) * e_{count-j}(w outside),

j being the number of dispersed cells inside the window. Inclusion probabilities are the same sums with one cell fixed.
"""

from __future__ import annotations

from math import comb, factorial

import numpy as np


def coverages(windows: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Probability that each cell is in S, that it is in D (both [cells]), and the share of accepted draws.

    windows: int64 [windows, n]. weights: w [cells], sums to one.
    """
    size = windows.shape[1]
    own = weights[windows]
    within = elementary(own, count)
    outside = _divide(elementary(weights[None, :], count), within)
    # How many ways S has to avoid j dispersed cells in its window; and those that also take one given cell.
    ways = np.array([comb(size - j, count) for j in range(count + 1)], dtype=float)
    ways_with_cell = np.array([comb(size - 1 - j, count - 1) if j < size else 0 for j in range(count + 1)], dtype=float)
    total = (ways * within * outside[:, ::-1]).sum()
    if total <= 0:
        return np.zeros_like(weights), np.zeros_like(weights), 0.0

    others = _divide(within[:, None, :], np.stack([np.ones_like(own), own], axis=-1))  # [windows, n, count + 1]
    in_concentrated = (ways_with_cell * others * outside[:, None, ::-1]).sum(axis=-1)
    in_dispersed = (ways[1:] * others[..., :-1] * outside[:, None, -2::-1]).sum(axis=-1)

    def over_cells(values: np.ndarray) -> np.ndarray:
        """Sum [windows, n] or [windows, 1] over the windows that hold each cell."""
        spread = np.broadcast_to(values, windows.shape)
        return np.bincount(windows.ravel(), weights=spread.ravel(), minlength=len(weights))

    # A dispersed cell outside S's window: e_m(outside, without c) = sum over i of (-w_c)^i e_{m-i}(outside).
    beyond = np.zeros_like(weights)
    for power in range(count):
        rest = count - 1 - power
        values = (ways[: rest + 1] * within[:, : rest + 1] * outside[:, rest::-1]).sum(axis=1, keepdims=True)
        beyond += (-weights) ** power * (values.sum() - over_cells(values))
    dispersed = weights * (over_cells(in_dispersed) + beyond) / total
    accepted = total * factorial(count) / (len(windows) * comb(size, count))
    return over_cells(in_concentrated) / total, dispersed, float(accepted)


def elementary(values: np.ndarray, degree: int) -> np.ndarray:
    """e_0..e_degree of each row, degree at least 1: [rows, values] -> [rows, degree + 1].

    The product of (1 + v z), cut after z^degree; halves are multiplied, so a long row takes few numpy calls.
    """
    polynomials = np.stack([np.ones_like(values), values, *[np.zeros_like(values)] * (degree - 1)], axis=-1)
    while polynomials.shape[1] > 1:
        if polynomials.shape[1] % 2:
            one = np.zeros_like(polynomials[:, :1])
            one[..., 0] = 1
            polynomials = np.concatenate([polynomials, one], axis=1)
        left, right = polynomials[:, ::2], polynomials[:, 1::2]
        product = np.zeros_like(left)
        for power in range(degree + 1):
            product[..., power:] += left[..., power, None] * right[..., : degree + 1 - power]
        polynomials = product
    return polynomials[:, 0]


def _divide(numerator: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """Quotient of power series with constant term 1, cut at the numerator's degree; coefficients on the last axis."""
    degree = numerator.shape[-1] - 1
    shape = np.broadcast_shapes(numerator.shape[:-1], divisor.shape[:-1])
    quotient = np.zeros((*shape, degree + 1))
    for power in range(degree + 1):
        known = sum(divisor[..., i] * quotient[..., power - i] for i in range(1, min(power, divisor.shape[-1] - 1) + 1))
        quotient[..., power] = numerator[..., power] - known
    return quotient
