"""Which orders are told apart: Friedman's test, every pair after it, critical-difference diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.ranking import Ranking, correct_rankings, critical_difference, rank_treatments

from ..words import counted
from .drawing import colour_of, grid_of_panels
from .markdown import orders_text, table
from .results import Results, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rankings = dict[tuple[str, str], Ranking]
"""By (task, architecture)."""


def rankings_of(results: Results) -> Rankings:
    """A ranking of the orders in every place, Friedman's tests corrected over all of them."""
    blocks = {place: results.block(*place) for place in results.places}
    found = [
        rank_treatments(block.scores, block.orders, resampled=results.resampled(task))
        for (task, _), block in blocks.items()
    ]
    return dict(zip(blocks, correct_rankings(found), strict=True))


def verdict(ranking: Ranking) -> str:
    """What is known of the orders, in a few words."""
    if ranking.reason is not None:
        return f"undecidable: {ranking.reason}"
    if not ranking.decided:
        return f"not told apart, p={ranking.corrected:.2g}"
    return f"told apart, p={ranking.corrected:.2g}"


def best_text(ranking: Ranking) -> str:
    """The best order or orders in bold where a test says so, else why there is none."""
    if ranking.decided and not ranking.tells:
        return "orders differ, none is told from the best"
    if ranking.tells:
        several = len(ranking.best) > 1
        return f"**{orders_text(ranking.best)}**" + (" (not told apart)" if several else "")
    return verdict(ranking)


def section(results: Results, rankings: Rankings, picture: str) -> list[str]:
    """Ranks, tests and diagrams."""
    tested = sum(ranking.reason is None for ranking in rankings.values())
    lines = [
        "## Which orders are told apart?",
        "",
        "Orders are ranked within each seed, 1 is best, and a run that diverged counts as chance. Friedman's test asks"
        f" whether they differ at all, corrected by Holm over its {counted(tested, 'test')} here. Where they do, every"
        " pair is tested by a paired t test, corrected by Holm over the pairs. The best set holds the order of the best"
        " mean and all that are not significantly worse. The diagrams place orders by mean rank; a bar joins those on"
        " it (dots) that are not told apart. Nemenyi's critical difference of mean ranks, which knows ranks only and"
        " tells less, is given beside. This family is exploratory.",
        "",
    ]
    if any(results.resampled(task) for task in results.tasks):
        lines += [
            "Seeds of cross-validated tasks (*) share images: pairs carry the correction of Nadeau and Bengio;"
            " Friedman's test takes seeds as independent, and its p are somewhat too small there.",
            "",
        ]
    rows = []
    for (task, architecture), ranking in rankings.items():
        names = sorted(zip(ranking.mean_ranks, ranking.names, strict=True))
        ranks = ", ".join(f"{name_of('scan', order)} {rank:.1f}" for rank, order in names)
        difference = critical_difference(ranking.n, len(names)) if ranking.n > 1 and len(names) > 1 else None
        rows.append(
            {
                "task": name_of("task", task) + "*" * bool(results.resampled(task)),
                "architecture": name_of("architecture", architecture),
                "seeds": str(ranking.n),
                "mean ranks": ranks if ranking.n else "",
                "critical difference": "" if difference is None else f"{difference:.2f}",
                "Friedman p": "" if ranking.reason else f"{ranking.p:.2g}",
                "orders": verdict(ranking),
                "best set": orders_text(ranking.best) if ranking.tells else "all" if ranking.decided else "",
            }
        )
    return [*lines, f"![Critical differences]({picture})", "", table(rows), ""]


def draw(results: Results, rankings: Rankings, figure: Figure) -> None:
    """A critical-difference diagram a place; where there is none, why."""
    for place, axis in grid_of_panels(results, figure, width=3.4, height=1.75, labels=False).items():
        _draw_one(results, rankings[place], axis)


def _draw_one(results: Results, ranking: Ranking, axis: Axes) -> None:
    if not ranking.decided:
        axis.text(0.5, 0.5, verdict(ranking).replace(": ", ":\n"), ha="center", va="center", fontsize=7, wrap=True)
        axis.set_axis_off()
        return
    names = {order: name_of("scan", order) for order in ranking.names}
    draw_diagram(ranking, names, {order: colour_of(results, order) for order in ranking.names}, axis)


def draw_diagram(ranking: Ranking, names: dict[str, str], colours: dict[str, str], axis: Axes) -> None:
    """A critical-difference diagram of treatments that a test tells apart.

    Args:
        names, colours: of the treatments.
    """
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    labels = [names[treatment] for treatment in ranking.names]
    critical_difference_diagram(
        dict(zip(labels, ranking.mean_ranks, strict=True)),
        pd.DataFrame(ranking.pairs, index=pd.Index(labels), columns=pd.Index(labels)),
        alpha=ranking.level,
        ax=axis,
        label_props={"fontsize": 7},
        crossbar_props={"linewidth": 1.5, "marker": "o", "markersize": 3.5},
        color_palette={names[treatment]: colours[treatment] for treatment in ranking.names},
        label_fmt_left="{label} {rank:.1f}",
        label_fmt_right="{rank:.1f} {label}",
    )
    axis.tick_params(labelsize=6)
