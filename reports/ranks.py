"""Which treatments differ significantly, place by place: Friedman's test, every pair after it, diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.ranking import Ranking, critical_difference
from harness.analysis.tables import ranking_text
from harness.registry.cells import display_spec

from .figures import colours_of, panels
from .page import Page
from .places import Place
from .text import names_text, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TESTS = (
    "Ranked within each seed, 1 is best, and a run that diverged counts as chance. Friedman's test asks whether {}"
    " differ at all, corrected by Holm over the places. Where they do, every pair is tested by a paired t test,"
    " corrected by Holm over the pairs. Leading: the best mean and those next to it, down to the first that is"
    " significantly worse."
    " Not significant: below such a one, and yet not significantly worse than the best, because seeds scatter; both"
    " together are the best set. In the diagrams a bar joins those on it (dots) that do not differ significantly."
    " Nemenyi's critical difference of mean ranks, which knows ranks only and tells less, is given beside. Exploratory:"
    " no pair of this family was declared before the runs."
)
CROSS_VALIDATED = (
    "Seeds of cross-validated tasks (*) share images: pairs carry the correction of Nadeau and Bengio; Friedman's test"
    " takes seeds as independent, and its p are somewhat too small there."
)


def section(page: Page, places: Sequence[Place], rankings: Sequence[Ranking]) -> list[str]:
    """Tests, who leads, and diagrams."""
    axis = places[0].axis
    noun = "order" if axis == "scan" else axis
    lines = [f"## Which {noun}s differ significantly?", TESTS.format(f"{noun}s")]
    if any(place.test_train_ratio for place in places):
        lines += [CROSS_VALIDATED]
    lines += page.draw("ranks", "Critical differences", draw(places, rankings))
    rows = []
    for place, ranking in zip(places, rankings, strict=True):
        names = sorted(zip(ranking.mean_ranks, ranking.names, strict=True))
        tested = ranking.n > 1 and len(names) > 1
        rows.append(
            {
                **place.heading,
                "seeds": str(ranking.n),
                "Friedman p": "" if ranking.reason else f"{ranking.p:.2g}",
                "verdict": ranking_text(ranking, noun),
                "leading": names_text(axis, ranking.leading) if ranking.tells else "all" if ranking.decided else "",
                "not significant": names_text(axis, ranking.scattered) if ranking.tells else "",
                "critical difference": f"{critical_difference(ranking.n, len(names)):.2f}" if tested else "",
                "mean ranks": ", ".join(f"{display_spec(axis, name)} {rank:.1f}" for rank, name in names)
                * bool(ranking.n),
            }
        )
    return [*lines, table(rows)]


def draw(places: Sequence[Place], rankings: Sequence[Ranking]) -> Figure | None:
    """A critical-difference diagram for each place whose treatments differ."""
    decided = {place: ranking for place, ranking in zip(places, rankings, strict=True) if ranking.decided}
    if not decided:
        return None
    most = max(len(ranking.names) for ranking in decided.values())
    width, across = (6.2, 2) if most > 8 else (4.2, 3)
    titles = {place.name: place.name for place in decided}
    figure, found = panels(titles, width=width, height=0.9 + 0.1 * most, across=across)
    colours = colours_of(name for ranking in rankings for name in ranking.names)
    for (place, ranking), axis in zip(decided.items(), found.values(), strict=True):
        _draw_diagram(ranking, place.axis, colours, axis)
    return figure


def _draw_diagram(ranking: Ranking, spec_axis: str, colours: dict[str, str], axis: Axes) -> None:
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    labels = [display_spec(spec_axis, name) for name in ranking.names]
    axis.grid(visible=False)
    critical_difference_diagram(
        dict(zip(labels, ranking.mean_ranks, strict=True)),
        pd.DataFrame(ranking.pairs, index=pd.Index(labels), columns=pd.Index(labels)),
        alpha=ranking.level,
        ax=axis,
        label_props={"fontsize": 7},
        crossbar_props={"linewidth": 1.5, "marker": "o", "markersize": 3.5},
        color_palette=dict(zip(labels, (colours[name] for name in ranking.names), strict=True)),
        label_fmt_left="{label} {rank:.1f} ",
        label_fmt_right=" {rank:.1f} {label}",
    )
    axis.tick_params(labelsize=6)
