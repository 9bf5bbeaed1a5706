"""What gradient descent on W_O alone must do: an exact oracle for gates frozen at 1/2 (arXiv 2602.12499, Eqs. 5-6).

Assumed throughout: every gate is 1/2, W_B = W_C = I, no noise, orthonormal patterns. Scores are then 1 for tokens of
one pattern and 0 otherwise, so y_t = g_t o_t with g_t = sum of 2^-(t-s+1) over s <= t that hold the pattern of t. As
g_t > 0, the relu of W_O[i].y_t is g_t relu(w_ip) with w_ip = W_O[i].o_p and p the pattern of t, and

    F(X) = (1/L) sum_p G_p(X) a_p,    G_p = sum of g_t over the tokens of pattern p,    a_p = sum_i v_i relu(w_ip)

A sequence speaks through G alone, and the gradient of the mean hinge loss makes each coordinate move on its own:

    w_ip <- w_ip + (eta / L) v_i 1[w_ip > 0] c_p,    c_p = E[z 1[z F < 1] G_p]

No approximation so far: with the expectation over a data set this is full-batch gradient descent on that data set, and
over all sequences it is population gradient descent (`law_of`, `locality_law`, `FrozenGateDescent`). A coordinate that
reaches w_ip <= 0 stays there for good. While no coordinate and no sequence crosses its kink, a step adds the same
matrix, so many steps are one.

Locality data in closed form. Two tokens `gap` apart have G = 1 + 2^-(1+gap); call it alpha at gap `near`, beta at gap
`far`, and delta = alpha - beta. While every sequence is active c = delta/2 for o_+, -delta/2 for o_- and 0 for
irrelevant patterns, whose positions do not depend on the label. So the coordinates w_i+ with v_i > 0 that start
positive grow by eta delta / (2 L sqrt(m)) a step, those with v_i < 0 shrink and die, and o_- mirrors this. With a share
nu of all neurons growing for either pattern, the margin of every sequence grows by eta delta^2 nu / (2 L^2) a step:

    steps to loss 0 = 2 L^2 / (nu eta delta^2),   8 L^2 / (eta delta^2) at nu = 1/4

That is exact but for the start's size. If more neurons grow for one pattern than for the other, one class reaches its
margin first and is held there by the other: see `steps_to_loss`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

PLUS, MINUS, FIRST_IRRELEVANT = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureLaw:
    """What sequences of `length` tokens say: G [points, patterns], z [points] and their probabilities [points]."""

    length: int
    features: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def features_of(patterns: np.ndarray, count: int) -> np.ndarray:
    """G [N, count] of sequences [N, L] of patterns 0..count-1.

    >>> features_of(np.array([[0, 1, 2, 0]]), 3)  # 0.5 + 0.5 + 0.5**4, then one token each
    array([[1.0625, 0.5   , 0.5   ]])
    """
    step = np.arange(patterns.shape[1])
    gap = step[:, None] - step[None]
    heard = np.where(gap >= 0, 0.5 ** (np.maximum(gap, 0) + 1.0), 0)
    g = ((patterns[:, :, None] == patterns[:, None, :]) * heard).sum(2)
    return np.stack([(g * (patterns == p)).sum(1) for p in range(count)], axis=1)


def law_of(patterns: np.ndarray, labels: np.ndarray, count: int) -> FeatureLaw:
    """Equally likely sequences [N, L] of patterns 0..count-1, labels +1 or -1 [N]; equal ones are merged."""
    rows = np.concatenate([features_of(patterns, count), labels[:, None]], axis=1)
    points, times = np.unique(rows, axis=0, return_counts=True)
    return FeatureLaw(
        length=patterns.shape[1], features=points[:, :-1], labels=points[:, -1], probabilities=times / times.sum()
    )


def locality_law(*, length: int, near: int, far: int, dim: int, replacement: bool) -> FeatureLaw:
    """The exact law of the locality task with placement=paper and noise=0, by listing its sequences.

    With replacement that is every placement times (dim - 2)^(length - 4) fillings: for small sizes. Without, places do
    not matter, since no irrelevant pattern meets itself: one placement, and every choice of length - 4 patterns out of
    dim - 2. With dim - 2 = length - 4 a single point for either label is left.
    """
    irrelevant = range(FIRST_IRRELEVANT, dim)
    placements = _placements(length, near, far)
    if replacement:
        fillings: Iterable[tuple[int, ...]] = itertools.product(irrelevant, repeat=length - 4)
    else:
        placements, fillings = placements[:1], itertools.combinations(irrelevant, length - 4)
    rows, labels = [], []
    for filling, (close, apart), label in itertools.product(fillings, placements, (1, -1)):
        row = np.full(length, -1)
        row[close], row[apart] = (PLUS, MINUS) if label == 1 else (MINUS, PLUS)
        row[row < 0] = filling
        rows.append(row)
        labels.append(label)
    return law_of(np.array(rows), np.array(labels), dim)


def _placements(length: int, near: int, far: int) -> list[tuple[list[int], list[int]]]:
    starts = itertools.product(range(length - near), range(length - far))
    pairs = [([i, i + near], [j, j + far]) for i, j in starts]
    return [(close, apart) for close, apart in pairs if not {*close} & {*apart}]


class FrozenGateDescent:
    """Gradient descent with step eta on W_O under a law, step for step, from w = W_O O^T [m, patterns] and v [m].

    `w` and `step` say where it stands. In float64; exact but for rounding.
    """

    def __init__(self, law: FeatureLaw, w: np.ndarray, v: np.ndarray, eta: float):
        self.law, self.v, self.eta = law, v.astype(np.float64), eta
        self.w, self.step = w.astype(np.float64), 0

    @property
    def margins(self) -> np.ndarray:
        """Margins z F [points]."""
        return self._margins(self.v @ np.maximum(self.w, 0))

    @property
    def loss(self) -> float:
        """Mean hinge loss."""
        return float(self.law.probabilities @ np.maximum(1 - self.margins, 0))

    def run(self, steps: int) -> None:
        """Take so many steps."""
        last = self.step + steps
        while self.step < last:
            self._leap(last - self.step)

    def run_to_loss(self, loss: float, steps: int) -> int | None:
        """Step until the loss is `loss` or less; returns that step, or None after `steps` more."""
        last = self.step + steps
        while self.loss > loss:
            if self.step >= last:
                return None
            self._leap(last - self.step, loss)
        return self.step

    def _margins(self, a: np.ndarray) -> np.ndarray:
        return self.law.labels * (self.law.features @ a) / self.law.length

    def _leap(self, most: int, loss: float = -math.inf) -> None:
        """At least one step and at most `most`: as far as every step adds the same matrix, or to `loss`."""
        law, margins = self.law, self.margins
        active = margins < 1
        pull = (law.probabilities * law.labels * active) @ law.features
        change = self.eta / law.length * self.v[:, None] * (self.w > 0) * pull
        slopes = self._margins(self.v @ change)
        # The step after which a shrinking coordinate has died, or a margin is on the other side of 1.
        steps = [_ratios(self.w, -change, change < 0), _ratios(1 - margins, slopes, active == (slopes > 0))]
        fall = float(law.probabilities @ (slopes * active))
        steps.append(_ratios(np.array([self.loss - loss]), np.array([fall]), np.array([fall > 0])))
        count = int(np.clip(np.concatenate(steps).min(initial=most), 1, most))
        self.w += count * change
        self.step += count


def _ratios(way: np.ndarray, speed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whole steps after which each wanted way is done."""
    wanted = wanted & (speed != 0)
    return np.ceil(way[wanted] / speed[wanted])


def steps_to_loss(
    *,
    length: int,
    near: int,
    far: int,
    eta: float,
    plus: float = 0.25,
    minus: float = 0.25,
    irrelevant: float = 0.0,
    loss: float = 1e-3,
) -> float:
    """Steps to a mean hinge loss on locality data, in closed form; what it assumes stands below.

    plus, minus: shares nu_+, nu_- of neurons with v_i > 0 and w_i+ > 0, with v_i < 0 and w_i- > 0 at the start.
    irrelevant: sum over irrelevant patterns of nu_p E[G_p]^2, nu_p the share of neurons that the irrelevant pattern can
    move against the class that leads (about 1/4); 0 leaves irrelevant patterns out. It matters where plus != minus.

    A step moves the two margins M by (eta / (2 L^2)) K q, with q the active share of either class and

        K = [[ alpha^2 nu_+ + beta^2 nu_- + Gamma, -(alpha beta (nu_+ + nu_-) + Gamma)         ],
             [ -(alpha beta (nu_+ + nu_-) + Gamma), beta^2 nu_+ + alpha^2 nu_- + Gamma          ]]

    First q = (1, 1). Once the leading class is at margin 1 it is active just so often that it stays there, and the
    other one grows by (eta / (2 L^2)) det K / K_leading. Assumed: a start much smaller than L / delta; every sequence
    of a class holds each irrelevant pattern with G_p = E[G_p]; a step too small to throw margins about,
    eta K_leading / (2 L^2) << loss.
    """
    alpha, beta = (1 + 2.0 ** -(1 + gap) for gap in (near, far))
    scale = eta / (2 * length**2)
    leading, other = sorted(
        (alpha**2 * one + beta**2 * two + irrelevant for one, two in ((plus, minus), (minus, plus))), reverse=True
    )
    between = alpha * beta * (plus + minus) + irrelevant
    lead, follow = scale * (leading - between), scale * (other - between)
    both_active = 2 * (1 - loss) / (lead + follow)
    if both_active * lead <= 1:
        return both_active
    catch_up = scale * (leading * other - between**2) / leading
    return 1 / lead + (1 - 2 * loss - follow / lead) / catch_up
