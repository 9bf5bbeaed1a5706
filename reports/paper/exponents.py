"""Exponents of epochs: beside what is predicted, step by step along a factor, and whether one number is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from harness.analysis.censored import Exponent, LackOfFit, lack_of_fit

from .evidence import FEW, End, arrivals, fit, to_convergence, to_half
from .experiment import Check, Judge, Point, Results, Table, Verdict

DEVIATION = 0.25
"""The smallest deviation of an exponent that matters: over a range of 16 it makes a factor of 2."""

BENT = 1.25
"""The factor by which a power law must miss a point to be called no description of the points."""

ENDS: Mapping[str, End] = {"test loss < .001": to_convergence, "test loss .5": to_half}


def near_to(exponent: Exponent, theorem: float) -> Verdict:
    """shown: the interval lies within what matters around the theorem's. contradicted: all of it lies outside."""
    low, high = exponent.low - theorem, exponent.high - theorem
    if low > -DEVIATION and high < DEVIATION:
        return Verdict.SHOWN
    return Verdict.CONTRADICTED if high <= -DEVIATION or low >= DEVIATION else Verdict.NOT_DECIDED


def exponent_check(
    points: Sequence[Point], factors: Sequence[str], name: str, theorem: float, *, end: End, statement: str,
    blind: bool = False,
) -> Judge:  # fmt: skip
    """The exponent of `name`, in a power law of all `factors`, is the theorem's."""

    def judge(results: Results, level: float = 0.95) -> Check:
        told = partial(Check, statement=statement, matters=f"{DEVIATION:g} in the exponent", blind=blind)
        law = fit(results, points, factors, end, level)
        if law is None:
            known = arrivals(results, points, end).steps
            short = bool(known) and known.count(None) > len(known) / 2
            numbers = f"{len(known)} trials, {known.count(None)} beyond the budget"
            why = "budget too short" if short else FEW
            return told(verdict=Verdict.NOT_DECIDED, numbers=numbers, why=why)
        exponent = law.exponents[name]
        found = near_to(exponent, theorem)
        numbers = f"measured {exponent}, {law.n} trials" + (
            f", {law.censored} beyond the budget" if law.censored else ""
        )
        return told(verdict=found, numbers=numbers, why=FEW if found is Verdict.NOT_DECIDED else "")

    return judge


def neighbours(points: Sequence[Point], name: str) -> list[tuple[float, float, list[Point]]]:
    """Points at each two neighbouring values of a fact, from the largest down."""
    values = sorted({p.get(name) for p in points}, reverse=True)
    return [(a, b, [p for p in points if p.get(name) in (a, b)]) for a, b in zip(values, values[1:], strict=False)]


def varying(points: Sequence[Point], names: Sequence[str]) -> list[str]:
    """Those facts that take more than one value."""
    return [name for name in names if len({p.get(name) for p in points}) > 1]


def misfit(results: Results, points: Sequence[Point], factors: Sequence[str], end: End) -> LackOfFit | None:
    """The test of a single exponent for each factor; None where too little has run."""
    known = arrivals(results, points, end)
    values: dict[str, list[float]] = {name: [p.get(name) for p in known.points] for name in factors}
    try:
        return lack_of_fit(values, known.steps, known.budgets, before=known.before)
    except ValueError:
        return None


def misfit_text(found: LackOfFit | None) -> str:
    """`off by up to 1.3, p < .001`; nothing where it was not tested."""
    if found is None:
        return ""
    return f"off by up to {found.worst:.2f}, p {'< .001' if found.p < 0.001 else f'= {found.p:.2g}'}"


def exponent_rows(
    results: Results, points: Sequence[Point], predicted: Mapping[str, tuple[float, float]], ends: Mapping[str, End]
) -> Table:
    """A row for each end point and factor, 95% intervals; predicted: the theorem's exponent, and with frozen gates."""
    rows: Table = []
    for title, end in ends.items():
        law = fit(results, points, tuple(predicted), end)
        fits = misfit_text(misfit(results, points, tuple(predicted), end)) if law else ""
        for name, (theorem, frozen) in predicted.items():
            row = {"epochs to": title, "exponent of": name, "theorem": f"{theorem:g}", "frozen gates": f"{frozen:g}"}
            row["measured"] = str(law.exponents[name]) if law else ""
            row["one power law"] = fits
            rows.append(row | {"trials": f"{law.n}, {law.censored} beyond the budget" if law else ""})
    return rows


def slope_rows(
    results: Results, points: Sequence[Point], name: str, others: Sequence[str], ends: Mapping[str, End]
) -> Table:
    """Local slopes: the exponent of a fact between each two neighbouring values of it, 95% intervals."""
    rows: Table = []
    for title, end in ends.items():
        for a, b, between in neighbours(points, name):
            law = fit(results, between, [name, *varying(between, others)], end)
            if law is not None:
                trials = f"{law.n}, {law.censored} beyond the budget"
                where = f"{name}, {a:.3g} to {b:.3g}"
                rows.append(
                    {"epochs to": title, "exponent of": where, "measured": str(law.exponents[name]), "trials": trials}
                )
    return rows
