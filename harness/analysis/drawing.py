"""Routes to look at: in the terminal and as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.contracts import Grid

from .locality import is_jump, step_lengths

# By the sides a line leaves the cell on: up 1, down 2, left 4, right 8.
BOXES = "·╵╷│╴┘┐┤╶└┌├─┴┬┼"
SIDES = {(-1, 0): 1, (1, 0): 2, (0, -1): 4, (0, 1): 8}
BETWEEN = {(0, 1): "─", (1, 0): "│", (1, 1): "╲", (1, -1): "╱"}
START, END = "●", "■"
SHADES = "·░▒▓█"


def draw_text(route: np.ndarray, grid: Grid, *, columns: int = 80) -> str:
    """Draw a route with characters; what it looks like depends on the route and on the room there is.

    A route without jumps is a line from ● to ■. One that jumps shows the step at which each cell is visited, counted
    from 0. Where that does not fit, each cell is a shade from · (first fifth) to █ (last fifth), and where that does
    not fit either, each character is a block of cells, shaded by their mean step.

    >>> print(draw_text(np.array([0, 1, 3, 2]), (2, 2)))
    ●─┐
    ■─┘

    Args:
        route: int64 [cells], a gather index.
        grid: (height, width) in cells.
        columns: width of the terminal in characters.

    Returns:
        lines joined by newlines, none longer than `columns`.
    """
    height, width = grid
    if 2 * width - 1 <= columns and not is_jump(route, grid).any():
        return _line(route, grid)
    rank = np.argsort(route).reshape(grid)
    digits = len(str(rank.size - 1))
    if width * (digits + 1) - 1 <= columns:
        return "\n".join(" ".join(f"{step:{digits}d}" for step in row) for row in rank)
    return _shade(rank, columns)


def _line(route: np.ndarray, grid: Grid) -> str:
    """Cells two columns apart; two rows apart as well where a diagonal step needs the room."""
    height, width = grid
    apart = 2 if (step_lengths(route, grid) > 1).any() else 1
    canvas = np.full(((height - 1) * apart + 1, 2 * width - 1), " ")
    links = np.zeros(height * width, dtype=int)
    row, column = (part.tolist() for part in np.divmod(route, width))
    for step in range(route.size - 1):
        way = row[step + 1] - row[step], column[step + 1] - column[step]
        links[route[step]] |= SIDES.get(way, 0)
        links[route[step + 1]] |= SIDES.get((-way[0], -way[1]), 0)
        if way[1] or apart == 2:
            between = BETWEEN.get(way) or BETWEEN[-way[0], -way[1]]
            canvas[(row[step] + row[step + 1]) * apart // 2, column[step] + column[step + 1]] = between
            if way[0] and way[1]:
                canvas[row[step] * apart, 2 * column[step]] = between
    nodes = canvas[::apart, ::2]
    # A cell that the line only crosses from corner to corner keeps its slanted stroke.
    links = links.reshape(grid)
    nodes[...] = np.where((links == 0) & (nodes != " "), nodes, np.array(list(BOXES))[links])
    nodes[row[0], column[0]], nodes[row[-1], column[-1]] = START, END
    return "\n".join("".join(line).rstrip() for line in canvas)


def _shade(rank: np.ndarray, columns: int) -> str:
    block = -(-rank.shape[1] // columns)
    repeat = 2 if block == 1 and 2 * rank.shape[1] <= columns else 1  # a character is about twice as tall as wide
    tall = 1 if repeat == 2 or rank.shape[0] == 1 else 2 * block
    tops, lefts = np.arange(0, rank.shape[0], tall), np.arange(0, rank.shape[1], block)
    total = np.add.reduceat(np.add.reduceat(rank, tops, axis=0), lefts, axis=1)
    count = np.add.reduceat(np.add.reduceat(np.ones_like(rank), tops, axis=0), lefts, axis=1)
    shade = (total * len(SHADES) // (count * rank.size)).astype(int)
    return "\n".join("".join(SHADES[level] * repeat for level in line) for line in shade)


def draw_png(
    routes: np.ndarray,
    grid: Grid,
    path: str | Path,
    *,
    title: str = "",
    names: Sequence[str] | None = None,
    across: int = 4,
) -> None:
    """Draw routes side by side into a PNG file: a line coloured by step, jumps thin, start and end marked.

    Args:
        routes: int64 [routes, cells], gather indices.
        grid: (height, width) in cells.
        path: the file to write; its folder must exist.
        title: written above.
        names: written above each route; "route 0", "route 1", ... where several have none.
        across: the most panels beside each other.
    """
    # Figure instead of pyplot: it draws with Agg whatever backend is set, and leaves no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    height, width = grid
    longer = max(height, width)
    side = 4.0 if len(routes) == 1 else 2.6  # inches, the longer side of a panel
    panel = np.array([width, height]) / longer * side
    across = min(len(routes), across)
    down = -(-len(routes) // across)
    size = np.maximum(panel, 0.9) * (across, down) + (1.2, 0.5 if title else 0.2)
    figure = Figure(figsize=tuple(np.maximum(size, (2.5, 1.2))), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat[len(routes) :]:
        axis.set_visible(False)
    drawn = []
    for index, (axis, route) in enumerate(zip(axes.flat, routes, strict=False)):
        drawn.append(_draw_route(axis, route, grid, points_a_cell=side * 72 / longer))
        if names is not None or len(routes) > 1:
            axis.set_title(f"route {index}" if names is None else names[index], fontsize=9)
    bar = figure.colorbar(drawn[0], ax=axes, label="step", shrink=0.9 if height > width / 3 else 1.0)
    bar.locator = MaxNLocator(nbins=5, integer=True)
    bar.update_ticks()
    if title:
        figure.suptitle(title, fontsize=11)
    figure.savefig(path)


def _draw_route(axis, route: np.ndarray, grid: Grid, *, points_a_cell: float):
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    height, width = grid
    row, column = np.divmod(route, width)
    points = np.stack([column, row], axis=1).astype(float)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    steps = np.arange(max(route.size - 1, 1))
    jump = is_jump(route, grid)
    thick = float(np.clip(0.22 * points_a_cell, 0.4, 4.0))
    thin = thick / 5 if 2 * jump.sum() < jump.size else thick / 3  # where all is jumps, they are all there is to see
    common = {"cmap": "viridis", "norm": Normalize(0, max(route.size - 1, 1)), "capstyle": "round"}
    axis.add_collection(LineCollection(list(segments[jump]), array=steps[jump], linewidths=thin, alpha=0.5, **common))
    lines = LineCollection(list(segments[~jump]), array=steps[~jump], linewidths=thick, **common)
    axis.add_collection(lines)
    mark = float(np.clip(0.55 * points_a_cell, 4.0, 12.0))
    look = {"linestyle": "none", "markersize": mark, "markeredgecolor": "black", "zorder": 3, "clip_on": False}
    axis.plot(*points[0], marker="o", color="white", **look)
    axis.plot(*points[-1], marker="s", color="tab:red", **look)
    axis.set(xlim=(-0.7, width - 0.3), ylim=(height - 0.3, -0.7), aspect="equal", xticks=[], yticks=[])
    return lines
