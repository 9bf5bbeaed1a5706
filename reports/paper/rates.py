"""Theorems 1 and 2: fitted exponents of the epochs to converge, and the fewest samples that generalize."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.analysis.censored import PowerLaw, fit_power_law
from harness.store.record import Record

from .drawing import plot_steps
from .experiment import (
    FROZEN_GATED,
    FROZEN_UNGATED,
    LADDER,
    Check,
    Experiment,
    Family,
    Judge,
    Point,
    Results,
    Table,
    bisect,
)
from .locality import SETTING as LOCALITY_SETTING
from .locality import locality
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


End = Callable[[Record], float | None]
"""The epochs that a trial took to an end point, None where it did not arrive."""


def to_convergence(record: Record) -> float | None:
    """To a test loss below .001."""
    return record.get("steps_to_convergence")


def to_half(record: Record) -> float | None:
    """To a test loss of at most .5: the stretch that the derivations are about, before noise and the hinge's tail."""
    curve = record.get("curve") or {"step": [], "test_loss": []}
    return next((step for step, loss in zip(curve["step"], curve["test_loss"], strict=True) if loss <= 0.5), None)


def fit(
    results: Results, points: Sequence[Point], factors: Sequence[str], end: End = to_convergence
) -> PowerLaw | None:
    """The power law over the trials of points; None where too little has run."""
    rows = [(p, record) for p in results.known(points) for record in results.of(p)]
    values: dict[str, list[float]] = {name: [p.get(name) for p, _ in rows] for name in factors}
    try:
        steps = [end(record) for _, record in rows]
        return fit_power_law(values, steps, [record.get("step_budget", 1) for _, record in rows])  # type: ignore[arg-type]
    except (ValueError, ZeroDivisionError):
        return None


def covers(points: Sequence[Point], predicted: Mapping[str, tuple[float, float]]) -> list[Judge]:
    """The interval of every exponent covers the theorem's."""

    def judge(results: Results, name: str, value: float) -> Check:
        statement = f"the exponent of {name} is the theorem's {value:g}"
        law = fit(results, points, tuple(predicted))
        if law is None:
            return Check(statement=statement, holds=None, numbers="too few trials")
        exponent = law.exponents[name]
        return Check(statement=statement, holds=exponent.holds(value), numbers=f"measured {exponent}")

    return [partial(judge, name=name, value=theorem) for name, (theorem, _) in predicted.items()]


def more_samples(families: Mapping[str, Family], statement: str) -> Judge:
    """The first family needs more than the second, and fewer than the third."""

    def judge(results: Results) -> Check:
        found = [bisect(results, family)[1:] for family in families.values()]
        texts = "; ".join(f"{label}: {samples_text(results, family)}" for label, family in families.items())
        if any(works - fails > 1 for fails, works in found):
            return Check(statement=statement, holds=None, numbers=texts)
        base, easier, *harder = [works for _, works in found]
        return Check(statement=statement, holds=base > easier and all(h > base for h in harder), numbers=texts)

    return judge


def _table(
    results: Results, points: Sequence[Point], predicted: Mapping[str, tuple[float, float]],
    families: Mapping[str, Family],
) -> Table:  # fmt: skip
    rows: Table = []
    for title, end in (("test loss < .001", to_convergence), ("test loss .5", to_half)):
        law = fit(results, points, tuple(predicted), end)
        for name, (theorem, ours) in predicted.items():
            row = {"epochs to": title, "exponent of": name, "theorem": f"{theorem:g}", "our derivation": f"{ours:g}"}
            held, covered = law.exponents[name] if law else None, ""
            if held:
                names = [name for name, value in (("theorem's", theorem), ("ours", ours)) if held.holds(value)]
                covered = " and ".join(names) or "neither"
            trials = f"{law.n}, {law.censored} censored" if law else ""
            rows.append(row | {"measured": str(held or ""), "covered": covered, "trials": trials})
    return rows + [
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


# Theorem 1: majority.


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
"""Exponent by factor: the theorem's, and our derivation's (docs/paper.md)."""

MAJORITY_FAMILIES: dict[str, Family] = {
    f"gap {gap / 30:.3f}, d {dim}".replace("0.", "."): lambda n, gap=gap, dim=dim: majority(
        samples=n, gap=gap, dim=dim, budget=2000, facts={"gap": gap, "d": dim, "N": n}
    )
    for gap, dim in ((4, 32), (8, 32), (4, 64))
}
"""Bisections over the number of sequences: a doubled gap, a doubled dimension."""


# Theorem 2: locality.


def strength(near: int, far: int = 9) -> float:
    """D = (1/2)^near - (1/2)^far, which is twice the delta of our derivation."""
    return 0.5**near - 0.5**far


def _one_at_a_time(
    architecture: str, *, near: int, rate: float, nears: Sequence[int], lengths: Sequence[int], rates: Sequence[float]
) -> list[Point]:
    def one(*, near: int = near, length: int = 12, rate: float = rate) -> Point:
        facts = {"D": strength(near), "L": length, "eta": rate}
        return locality(near=near, length=length, rate=rate, architecture=architecture, facts=facts)

    return [
        *(one(near=n) for n in sorted((near, *nears))),
        *(one(length=length) for length in lengths),
        *(one(rate=r) for r in rates),
    ]


LOCALITY_POINTS = _one_at_a_time(
    FROZEN_GATED, near=3, rate=1000.0, nears=(2, 4, 5), lengths=(18, 24), rates=(500.0, 2000.0)
)
"""The gate trained. One factor at a time around near 3, L=12, eta=1000; population descent."""

HELD_POINTS = _one_at_a_time(FROZEN_UNGATED, near=2, rate=200.0, nears=(1, 3), lengths=(16, 20), rates=(100.0, 400.0))
"""The gate held at 1/2. One factor at a time around near 2, L=12, eta=200.

With no gate to move, steps can be as small as the derivation supposes: it says 420 of them at the middle, where
eta=1000 would leave 84 and one class waiting for the other.
"""

LOCALITY_PREDICTED = {"D": (-1.0, -2.0), "L": (2.0, 2.0), "eta": (-1.0, -1.0)}

LOCALITY_FAMILIES: dict[str, Family] = {
    f"near {near}": lambda n, near=near: locality(
        near=near, samples=n, population=False, budget=1000, facts={"near": near, "N": n}
    )
    for near in (3, 2)
}
"""Bisections over the number of fixed sequences."""


def _locality_table(results: Results) -> Table:
    gated = _table(results, LOCALITY_POINTS, LOCALITY_PREDICTED, LOCALITY_FAMILIES)
    held = _table(results, HELD_POINTS, LOCALITY_PREDICTED, {})
    return [{"gate": "trained", **row} for row in gated] + [{"gate": "fixed at 1/2", **row} for row in held]


EXPERIMENTS = [
    Experiment(
        id="thm1",
        title="Theorem 1: how epochs and samples scale in majority voting",
        claim="T = Theta(L^2 / (eta gap^2)) epochs (one set of notes has it without L^2) and"
        " N = Omega(L^2 d / (eta^2 gap^2)) samples.",
        setting=MAJORITY_SETTING + "; N=400; censored log-normal regression, one factor varied at a time",
        points=MAJORITY_POINTS,
        families=MAJORITY_FAMILIES,
        checks=[
            *covers(MAJORITY_POINTS, MAJORITY_PREDICTED),
            more_samples(MAJORITY_FAMILIES, "N grows with 1/gap and with d, as the bound does"),
        ],
        table=partial(_table, points=MAJORITY_POINTS, predicted=MAJORITY_PREDICTED, families=MAJORITY_FAMILIES),
        draw=partial(_draw, x="gap"),
    ),
    Experiment(
        id="thm2",
        title="Theorem 2: how epochs and samples scale with the strength of locality",
        claim="T = Theta(L^2 / (eta D)) epochs with D = (1/2)^near - (1/2)^far, and"
        " N = Omega(L^2 d / (eta^2 D^2)) samples.",
        setting=LOCALITY_SETTING + "; near 3 unless varied. With every gate held at 1/2: near 2 and eta=200 unless"
        " varied, steps as small as the derivation supposes",
        points=[*LOCALITY_POINTS, *HELD_POINTS],
        families=LOCALITY_FAMILIES,
        checks=[
            *covers(LOCALITY_POINTS, LOCALITY_PREDICTED),
            more_samples(LOCALITY_FAMILIES, "N grows with 1/D, as the bound does"),
        ],
        table=_locality_table,
        draw=lambda results, _: _draw(results, LOCALITY_POINTS, x="D"),
    ),
]
