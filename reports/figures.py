"""One style for every figure: a canvas that leaves no global state, one palette, panels, and the marks of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from harness.analysis.statistics import Interval
from harness.analysis.summary import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#777777", "#56B4E9", "#8C6D31", "#5B2A86", "#000000",
)  # fmt: skip
"""After Okabe and Ito: colour-blind readers can distinguish them too."""

GREY = "#666666"
MARKERS = "osD^vP*X<>"

FIXED: dict[str, str] = {
    name: colour
    for names in (
        ("horizontal", "snake", "hilbert", "morton", "spiral", "random", "vertical", "bidirectional", "cross"),
        ("mamba", "gated-ssm", "local-attention", "global-attention", "lstm", "mean-pool", "gru", "mamba2", "mamba3"),
    )
    for name, colour in zip(names, PALETTE, strict=False)
}
"""The colour of a scan or an architecture is the same on every page; `identity` and the like take what is free."""

Key = TypeVar("Key", bound=Hashable)


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each spec text: its fixed one, else one that no other has while there are any."""
    names = list(dict.fromkeys(names))
    found: dict[str, str] = {}
    for name in names:
        colour = FIXED.get(name.partition(":")[0])
        if colour is not None and colour not in found.values():
            found[name] = colour
    free = [*(colour for colour in PALETTE if colour not in found.values()), *PALETTE]
    others = [name for name in names if name not in found]
    return found | {name: free[number % len(free)] for number, name in enumerate(others)}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, drawn with Agg whatever backend is set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    titles: Mapping[Key, str], *, width: float, height: float, across: int = 3, **shared: Any
) -> tuple[Figure, dict[Key, Axes]]:
    """Panels side by side in rows, by the keys of their titles.

    Args:
        width, height: of one panel, in inches. across: the most in a row. shared: as `Figure.subplots` takes it.
    """
    across = min(across, len(titles))
    down = -(-len(titles) // across)
    figure = new_figure(max(5.5, width * across + 0.5), height * down + 0.4)
    axes = figure.subplots(down, across, squeeze=False, **shared)
    for axis in axes.flat[len(titles) :]:
        axis.set_visible(False)
    for title, axis in zip(titles.values(), axes.flat, strict=False):
        axis.set_title(title, fontsize=8)
        axis.tick_params(which="both", labelsize=7)
        axis.grid(alpha=0.25)
    return figure, dict(zip(titles, axes.flat, strict=False))


def label_outside(found: Mapping[Any, Axes], x: str = "", y: str = "") -> None:
    """Name the axes where a row of panels begins and a column ends."""
    axes = list(found.values())
    for axis in axes:
        place = axis.get_subplotspec()
        assert place is not None
        below = [other.get_subplotspec() for other in axes]
        if not any(b.colspan == place.colspan and b.rowspan.start > place.rowspan.start for b in below if b):
            axis.set_xlabel(x, fontsize=8)
            axis.tick_params(labelbottom=True)
        if place.is_first_col():
            axis.set_ylabel(y, fontsize=8)


def legend_below(figure: Figure) -> None:
    """One legend for all panels, each label once, in room of its own."""
    known = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if not known:
        return
    width, height = figure.get_size_inches()
    columns = max(1, min(len(known), int(width / (0.55 + 0.06 * max(map(len, known))))))
    figure.set_size_inches(width, height + 0.17 * -(-len(known) // columns) + 0.1)
    figure.legend(
        list(known.values()), list(known), loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False
    )


def whisker(interval: Interval) -> list[float] | None:
    """Half the interval as `errorbar` takes it; None where a single value has none."""
    return None if math.isnan(interval.half) else [interval.half]


def plot_line(axis: Axes, x: Any, y: Any, low: Any, high: Any, *, colour: str, label: str) -> None:
    """A curve in its band."""
    axis.plot(x, y, color=colour, label=label, linewidth=1.4)
    axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def draw_accuracy(
    groups: Mapping[str, Sequence[Row]],
    *,
    label: Callable[[Row], str],
    colour: Callable[[Row], str],
    full: Callable[[str, Row], bool] = lambda title, row: True,
    references: Mapping[str, str] | None = None,
    width: float = 3.6,
    across: int = 3,
) -> Figure | None:
    """A panel for each group of rows, one line per cell: mean accuracy with its interval, a dot for each seed.

    Args:
        groups: rows by the title of their panel. full: whether a mark is filled. references: what a column of records
            that is drawn as a vertical line is called.
    """
    groups = {title: [row for row in rows if row.scores] for title, rows in groups.items()}
    groups = {title: rows for title, rows in groups.items() if rows}
    if not groups:
        return None
    height = 0.5 + 0.17 * max(map(len, groups.values()))
    figure, found = panels({title: title for title in groups}, width=width, height=height, across=across)
    for title, axis in found.items():
        rows = groups[title]
        lowest = rows[0].chance
        for y, row in enumerate(rows):
            scores = list(row.scores.values())
            lowest = min([lowest, *scores])
            axis.plot(scores, [y] * len(scores), ".", color=colour(row), alpha=0.5, markersize=6, markeredgewidth=0)
            axis.errorbar(
                [row.accuracy.mean], [y], xerr=whisker(row.accuracy), fmt="o", color=colour(row), markersize=5,
                capsize=2, markerfacecolor=colour(row) if full(title, row) else "white",
            )  # fmt: skip
        axis.axvline(rows[0].chance, color=GREY, linestyle=":", linewidth=0.9, label="chance")
        for (column, name), style in zip((references or {}).items(), ("--", "-."), strict=False):
            value = next((row.get(column) for row in rows if row.get(column) is not None), None)
            if value is not None:
                axis.axvline(value, color=GREY, linestyle=style, linewidth=0.9, label=name)
        axis.grid(axis="y", visible=False)
        axis.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=7)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        # Intervals of few seeds reach far beyond what an accuracy can be.
        axis.set_xlim(max(-0.02, lowest - 0.06), 1.02)
    label_outside(found, x="test accuracy")
    legend_below(figure)
    return figure
