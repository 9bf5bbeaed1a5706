"""What the figures of a page share: one look, and a canvas that leaves no global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
