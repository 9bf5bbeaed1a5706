"""Which architectures are told apart, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ranking import Ranking

from ..drawing import COLOURS
from ..scan_orders.markdown import table
from ..scan_orders.ranks import draw_diagram, verdict
from . import look
from .places import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def section(places: Sequence[Place], rankings: Sequence[Ranking], picture: Path) -> list[str]:
    """Tests, who leads, and diagrams."""
    lines = [
        "## Which architectures are told apart?",
        "",
        "Ranked within each seed, 1 is best, and a run that diverged counts as chance. Friedman's test asks whether"
        " architectures differ at all, corrected by Holm over the places. Where they do, every pair is tested by a"
        " paired t test, corrected by Holm over the pairs. Leading: the best mean and those next to it, down to the"
        " first that is told to be worse. Not told: below such a one, and yet not told to be worse than the best,"
        " because seeds scatter. In the diagrams a bar joins those on it (dots) that are not told apart. Exploratory:"
        " no pair was declared before the runs.",
        "",
    ]
    if any(ranking.decided for ranking in rankings):
        lines += [f"![Critical differences]({_draw(places, rankings, picture).name})", ""]
    rows = []
    for place, ranking in zip(places, rankings, strict=True):
        ranked = sorted(zip(ranking.mean_ranks, ranking.names, strict=True))
        rows.append(
            {
                "place": place.name,
                "seeds": str(ranking.n),
                "Friedman p": "" if ranking.reason else f"{ranking.p:.2g}",
                "verdict": verdict(ranking),
                "leading": ", ".join(map(look.name_of, ranking.leading)) if ranking.tells else "",
                "not told": ", ".join(map(look.name_of, ranking.scattered)) if ranking.tells else "",
                "mean ranks": ", ".join(f"{look.name_of(name)} {rank:.1f}" for rank, name in ranked) * bool(ranking.n),
            }
        )
    return [*lines, table(rows), ""]


def _draw(places: Sequence[Place], rankings: Sequence[Ranking], path: Path) -> Path:
    decided = [(place, ranking) for place, ranking in zip(places, rankings, strict=True) if ranking.decided]
    everyone = look.names_of(places)

    def draw(index: int, axis: Axes) -> None:
        place, ranking = decided[index]
        names = {architecture: look.name_of(architecture) for architecture in ranking.names}
        colours = {name: COLOURS[everyone.index(name) % len(COLOURS)] for name in ranking.names}
        draw_diagram(ranking, names, colours, axis)
        axis.set_title(place.name, fontsize=8)

    return look.panels(len(decided), path, draw, width=6.5, height=2.9, across=2)
