"""Theorem 1: how epochs scale in majority voting, and the fewest samples that generalize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .drawing import plot_steps
from .experiment import LADDER, Check, Experiment, Family, Judge, Point, Results, Table, Verdict, bisect
from .exponents import ENDS, exponent_check, exponent_rows
from .majority import GAPS, majority
from .majority import SETTING as MAJORITY_SETTING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def samples_text(results: Results, family: Family) -> str:
    """The fewest sequences that generalize, as the bracket that the bisection reached."""
    _, fails, works = bisect(results, family)
    if works - fails > 1:
        return "not run"
    if works == len(LADDER):
        return f"more than {LADDER[-1]}"
    return f"at most {LADDER[0]}" if fails < 0 else f"{LADDER[fails]} to {LADDER[works]}"


def need_grows_within(base: Family, harder: Family, bound: float, statement: str) -> Judge:
    """The bound read as sufficient: the fewest sequences grow by no more than the bound does.

    Needing fewer than a sufficient number refutes nothing; needing more, by more than the brackets of the bisections
    leave open, would.
    """

    def judge(results: Results, level: float = 0.95) -> Check:
        found = [bisect(results, family)[1:] for family in (base, harder)]
        texts = " and ".join(samples_text(results, family) for family in (base, harder))
        told = partial(Check, statement=statement, matters=f"a factor above {bound:.2g}")
        if any(works - fails > 1 for fails, works in found):
            return told(verdict=Verdict.NOT_DECIDED, numbers=texts, why="too few trials")
        (low, high), (low_harder, high_harder) = (
            (LADDER[max(0, fails)], LADDER[min(works, len(LADDER) - 1)]) for fails, works in found
        )
        smallest, largest = low_harder / high, high_harder / low
        numbers = f"{texts}: a factor between {smallest:.2g} and {largest:.2g}"
        if any(fails < 0 or works == len(LADDER) for fails, works in found):
            return told(verdict=Verdict.NOT_DECIDED, numbers=numbers, why="beyond the sizes that were tried")
        if largest <= bound:
            return told(verdict=Verdict.SHOWN, numbers=numbers)
        if smallest > bound:
            return told(verdict=Verdict.CONTRADICTED, numbers=numbers)
        return told(verdict=Verdict.NOT_DECIDED, numbers=numbers, why="the brackets are too wide")

    return judge


def sample_rows(results: Results, families: Mapping[str, Family]) -> Table:
    """The bracket of each bisection."""
    return [
        {
            "epochs to": "test loss < .001",
            "exponent of": f"(fewest N, {label})",
            "measured": samples_text(results, family),
        }
        for label, family in families.items()
    ]


def _draw(results: Results, points: Sequence[Point], *, x: str) -> Figure | None:
    """Of the points that differ from the first in `x` alone."""
    base = points[0]
    alike = [p for p in points if all(p.get(name) == base.get(name) for name, _ in base.facts if name != x)]
    return plot_steps(results, alike, x=x)


def _facts(*, gap: float = 0.2, length: int = 30, rate: float = 1.0, dim: int = 32) -> dict[str, Any]:
    return {"gap": gap, "L": length, "eta": rate, "d": dim}


MAJORITY_POINTS = [
    *(majority(gap=gap, facts=_facts(gap=gap / 30)) for gap in GAPS),
    *(majority(length=length, facts=_facts(length=length)) for length in (15, 45)),
    *(majority(rate=rate, facts=_facts(rate=rate)) for rate in (0.5, 2.0, 4.0)),
    *(majority(dim=dim, facts=_facts(dim=dim)) for dim in (64, 128)),
]
"""One factor at a time around gap .2, L=30, eta=1, d=32; N=400."""

MAJORITY_PREDICTED = {"gap": (-2.0, -2.0), "L": (2.0, 0.0), "eta": (-1.0, -1.0), "d": (0.0, 0.0)}
"""Exponent by factor: the theorem's, and that of our derivation with frozen gates (docs/paper.md)."""

MAJORITY_FAMILIES: dict[str, Family] = {
    f"gap {gap / 30:.3f}, d {dim}".replace("0.", "."): lambda n, gap=gap, dim=dim: majority(
        samples=n, gap=gap, dim=dim, budget=2000, facts={"gap": gap, "d": dim, "N": n}
    )
    for gap, dim in ((4, 32), (8, 32), (4, 64))
}
"""Bisections over the number of sequences: a doubled gap, a doubled dimension."""


def _table(results: Results) -> Table:
    return [
        *exponent_rows(results, MAJORITY_POINTS, MAJORITY_PREDICTED, ENDS),
        *sample_rows(results, MAJORITY_FAMILIES),
    ]


_BASE, _WIDER_GAP, _MORE_DIMENSIONS = MAJORITY_FAMILIES.values()

EXPERIMENTS = [
    Experiment(
        id="thm1",
        title="Theorem 1: how epochs and samples scale in majority voting",
        claim="Majority voting takes T = Theta(L^2 / (eta gap^2)) epochs (one set of notes has it without L^2);"
        " N = Omega(L^2 d / (eta^2 gap^2)) samples suffice.",
        setting=MAJORITY_SETTING + "; N=400; censored log-normal regression, one factor varied at a time. A rate"
        " is held against the slopes; the number of samples is read as sufficient: a smaller need is no refutation",
        points=MAJORITY_POINTS,
        families=MAJORITY_FAMILIES,
        checks=[
            *(
                exponent_check(
                    MAJORITY_POINTS, tuple(MAJORITY_PREDICTED), name, theorem, end=end,
                    statement=f"to {title}, the exponent of {name} is the theorem's {theorem:g}",
                )
                for title, end in ENDS.items()
                for name, (theorem, _) in MAJORITY_PREDICTED.items()
            ),
            need_grows_within(_WIDER_GAP, _BASE, 4, "half the gap takes at most 4 times as many samples"),
            need_grows_within(_BASE, _MORE_DIMENSIONS, 2, "twice the dimensions take at most twice as many samples"),
        ],
        table=_table,
        draw=partial(_draw, x="gap"),
    ),
]  # fmt: skip
