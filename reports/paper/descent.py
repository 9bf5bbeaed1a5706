"""The locality task under constant steps: the points of theorem 2, and those with a slower gate or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .evidence import End, end_loss, to_half
from .experiment import FROZEN_GATED, FROZEN_UNGATED, Point
from .locality import SETTING as LOCALITY_SETTING
from .locality import locality

SETTING = LOCALITY_SETTING.partition(", eta=1000")[0]

NEARS = (1, 2, 3, 4, 5)
RATES = (2.0, 3.0, 4.0, 5.0)
LENGTHS = (12, 16, 24, 32, 48)
FASTEST = RATES[-1]
LONG = (32, 48)
"""Lengths that run to a loss of .9 only: .5 takes about five times as long."""

to_first = end_loss(0.9)
FIRST, HALF = "test loss .9", "test loss .5"
ENDS: Mapping[str, End] = {FIRST: to_first, "test loss .7": end_loss(0.7), HALF: to_half}
PREDICTED = {"D": (-1.0, -2.0), "L": (2.0, 2.0), "eta": (-1.0, -1.0)}
"""Exponent by factor: the theorem's, and that of our derivation with frozen gates (docs/paper.md)."""


def distance(near: int, far: int = 9) -> float:
    """D = (1/2)^near - (1/2)^far, as the paper has it; twice the delta of our derivation."""
    return 0.5**near - 0.5**far


def expected(near: int, length: int, rate: float) -> float:
    """About how many epochs a loss of .9 takes with equal steps, from pilot trials: budgets rest on it alone."""
    return 1000 * (length / 12) ** 1.9 * (3 / rate) ** 0.9 * (distance(1) / distance(near)) ** 0.76


def frozen(near: int, length: int, rate: float, loss: float) -> float:
    """Epochs to a loss with gates frozen at 1/2, by our derivation: 32 (1 - loss) L^2 / (eta D^2)."""
    return 32 * (1 - loss) * length**2 / (rate * distance(near) ** 2)


def descent(*, near: int, length: int, rate: float, ratio: float, loss: float, budget: float, look: float) -> Point:
    """Population descent, all steps constant, until the test loss is below `loss`.

    ratio: w_D's step over W_O's; 0 holds every gate at 1/2. look: epochs between looks, about.
    """
    every, steps = float(f"{max(look, 1):.1g}"), float(f"{budget:.2g}")
    facts = {"near": near, "D": distance(near), "L": length, "eta": rate, "ratio": ratio}
    return locality(
        near=near, length=length, rate=rate, budget=int(steps), facts=facts,
        architecture=FROZEN_GATED if ratio else FROZEN_UNGATED, step=f"mixer_rate={ratio or 1:g}",
        extra=f",loss_threshold={loss:g},evaluate_every={int(every)}",
    )  # fmt: skip


def equal(*, near: int, length: int = 12, rate: float = FASTEST, loss: float = 0.5) -> Point:
    """The theorem's rule: one step for w_D and W_O."""
    first = expected(near, length, rate)
    budget = first * (4 if loss == 0.9 else 10 if near < 4 else 6)
    return descent(near=near, length=length, rate=rate, ratio=1.0, loss=loss, budget=budget, look=first / 25)


SHORT_POINTS = [equal(near=near, rate=rate) for rate in RATES for near in NEARS]
"""L=12: every distance with every step."""

LONG_POINTS = [
    equal(near=near, length=length, loss=0.9 if length in LONG else 0.5) for length in LENGTHS[1:] for near in NEARS
]
"""Every other length with every distance, at the largest step."""

EQUAL_POINTS = [*SHORT_POINTS, *LONG_POINTS]
LENGTH_POINTS = [p for p in EQUAL_POINTS if p.get("eta") == FASTEST]

END_POINTS = [
    descent(near=near, length=12, rate=rate, ratio=1.0, loss=0.001, budget=20_000, look=100)
    for rate in (RATES[0], FASTEST)
    for near in (1, 2)
]
"""To the paper's end point, a loss of .001, as far as constant equal steps get there."""


def usable(points: Sequence[Point], title: str) -> list[Point]:
    """Those points whose runs go on to an end point."""
    return [p for p in points if title == FIRST or p.get("L") not in LONG]


# How far the gate moves: w_D's step over W_O's, from frozen to equal.

RATIOS = (0.0, 0.01, 0.1, 0.3)
"""Beside 1, which theorem 2's own points have."""


def slower(*, ratio: float, near: int = 2, length: int = 12, rate: float = FASTEST) -> Point:
    """A gate whose step is a share of W_O's, to a loss of .9."""
    longest, shortest = frozen(near, length, rate, 0.9), expected(near, length, rate)
    look = longest / 40 if ratio == 0 else min(longest, shortest) / 20
    return descent(
        near=near, length=length, rate=rate, ratio=ratio, loss=0.9, budget=3 * max(longest, shortest), look=look
    )


def _star(ratio: float) -> list[Point]:
    """One factor at a time around near 2, L=12, eta=5."""
    return [
        *(slower(ratio=ratio, near=near) for near in NEARS),
        *(slower(ratio=ratio, length=length) for length in (16, 24)),
        *(slower(ratio=ratio, rate=rate) for rate in RATES[:2]),
    ]


STARS: dict[float, list[Point]] = {ratio: _star(ratio) for ratio in RATIOS} | {
    1.0: [
        p
        for p in EQUAL_POINTS
        if (p.get("L"), p.get("eta")) == (12, FASTEST)
        or (p.get("near") == 2 and (p.get("L") in (16, 24) or p.get("eta") in RATES[:2]))
    ]
}

ABLATION = 50.0
"""Step of W_O in the ablation: with no gate to move it enters as 1 / eta, and a loss of .5 is within reach."""

FROZEN_POINTS = [
    descent(near=near, length=12, rate=ABLATION, ratio=0.0, loss=0.5, budget=2 * first, look=first / 40)
    for near in NEARS
    for first in [frozen(near, 12, ABLATION, 0.5)]
]
"""Gates frozen, to a loss of .5."""
