"""What the figures of a page share: one look, and a canvas that leaves no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cells import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#F0E442")
"""Okabe and Ito's palette: told apart by colour-blind readers too."""

MARKERS = "osD^vP*X<>"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, drawn with Agg whatever backend is set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_a_scan(scans: Sequence[str], label: str) -> tuple[Figure, dict[str, Axes]]:
    """Panels that share their axes, three abreast, each titled by its scan; `label` is what the first one's y says."""
    across = min(3, len(scans))
    down = -(-len(scans) // across)
    figure = new_figure(3.6 * across + 1.9, 2.7 * down + 0.3)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axis in panels.flat[len(scans) :]:
        axis.set_visible(False)
    for scan, axis in zip(scans, panels.flat, strict=False):
        axis.set_title(short("scan", scan), fontsize=9)
        axis.grid(alpha=0.25)
    panels.flat[0].set_ylabel(label)
    return figure, dict(zip(scans, panels.flat, strict=False))


def legend_beside(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once."""
    known = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        known |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in known}
    figure.legend(list(known.values()), list(known), fontsize=7, loc="outside right upper", frameon=False)
