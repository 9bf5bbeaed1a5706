"""What the step of the gate makes of theorem 2: exponents from frozen gates to equal steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..figures import GREY, PALETTE, legend_below, new_figure
from .descent import ABLATION, FROZEN_POINTS, PREDICTED, RATIOS, SETTING, STARS, to_first
from .evidence import fit, to_half, weigh
from .experiment import Check, Experiment, Point, Results, Table, Verdict
from .exponents import DEVIATION, exponent_check, exponent_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure


def _rises(results: Results, level: float = 0.95) -> Check:
    statement = "the exponent of D with equal steps lies above that with frozen gates"
    told = partial(Check, statement=statement, matters=f"{DEVIATION:g} in the exponent")
    laws = [fit(results, STARS[ratio], tuple(PREDICTED), to_first, level) for ratio in (0.0, 1.0)]
    exponents = [law.exponents["D"] for law in laws if law]
    if len(exponents) < 2:
        return told(verdict=Verdict.NOT_DECIDED, numbers="", why="too few trials")
    held, moved = exponents
    found = weigh(moved.low - held.high, moved.high - held.low, DEVIATION)
    why = "too few trials" if found is Verdict.NOT_DECIDED else ""
    return told(verdict=found, numbers=f"{moved} against {held}", why=why)


def _phase_table(results: Results) -> Table:
    rows: Table = []
    for ratio, points in STARS.items():
        found = exponent_rows(results, points, PREDICTED, {"test loss .9": to_first})
        if any(row["measured"] for row in found):
            rows.append(
                {"step of w_D / step of W_O": f"{ratio:g}"}
                | {f"exponent of {row['exponent of']}": row["measured"] for row in found}
                | {"one power law": found[0]["one power law"], "trials": found[0]["trials"]}
            )
    return rows


def draw_phase(results: Results, points: Sequence[Point]) -> Figure | None:
    """The exponents over the ratio of steps, with their intervals."""
    laws = {ratio: fit(results, star, tuple(PREDICTED), to_first) for ratio, star in STARS.items()}
    known = {ratio: law for ratio, law in laws.items() if law}
    if not known:
        return None
    figure = new_figure(6.4, 3.8)
    axis = figure.subplots()
    places = list(range(len(known)))
    for name, colour in zip(PREDICTED, PALETTE, strict=False):
        found = [law.exponents[name] for law in known.values()]
        reach = [[each.value - each.low for each in found], [each.high - each.value for each in found]]
        middle = [each.value for each in found]
        axis.errorbar(places, middle, yerr=reach, color=colour, marker="o", markersize=4, capsize=2, label=name)
    for value in (-2, -1, 2):
        axis.axhline(value, color=GREY, linewidth=0.7, linestyle=":")
    axis.set_xticks(places, [f"{ratio:g}" for ratio in known])
    axis.set_xlabel("step of w_D / step of W_O (0: gates frozen)")
    axis.set_ylabel("exponent of the epochs to loss .9")
    axis.grid(alpha=0.25)
    legend_below(figure)
    return figure


EXPERIMENTS = [
    Experiment(
        id="gates",
        title="Theorem 2: what the step of the gate makes of it",
        claim="Ours: the exponent of D goes from -2 with frozen gates towards -1 as the gate's step grows to W_O's.",
        setting=SETTING + "; all steps constant; one factor varied at a time around near 2, L=12, eta=5; to loss .9."
        f" The ablation with frozen gates also runs to loss .5, at eta={ABLATION:g}",
        points=[*(p for ratio in RATIOS for p in STARS[ratio]), *STARS[1.0], *FROZEN_POINTS],
        ours=True,
        checks=[
            *(
                exponent_check(
                    STARS[0.0], tuple(PREDICTED), name, held, end=to_first,
                    statement=f"gates frozen, to loss .9: the exponent of {name} is the derived {held:g}",
                )
                for name, (_, held) in PREDICTED.items()
            ),
            exponent_check(
                FROZEN_POINTS, ["D"], "D", -2.0, end=to_half,
                statement="gates frozen, to loss .5: the exponent of D is the derived -2",
            ),
            _rises,
        ],
        table=_phase_table,
        draw=draw_phase,
    ),
]  # fmt: skip
