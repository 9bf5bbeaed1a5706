"""Orders as functions: ranks, checks, the modifiers of a spec, and irregular sets of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .scan import Order, Scan, one_sequence


def rank_of(routes: np.ndarray) -> np.ndarray:
    """The inverse of each route: `rank[..., routes[..., t]] = t`. Keep the two apart: a route gathers, a rank scatters.

    >>> rank_of(np.array([2, 0, 1]))
    array([1, 2, 0])
    """
    return np.argsort(routes, axis=-1, kind="stable")


def check_routes(routes: np.ndarray, cells: int, *, subject: str) -> np.ndarray:
    """Hold routes to be permutations of the cells.

    Raises:
        ValueError: a cell is visited twice or never.
    """
    if routes.ndim != 2 or routes.shape[1] != cells or not (np.sort(routes, axis=1) == np.arange(cells)).all():
        raise ValueError(
            f"{subject}: every route must visit each of the {cells} cells once, got an array of shape"
            f" {routes.shape} that does not"
        )
    return routes


def reversed_order(order: Order) -> Order:
    """The same way, walked from its end."""
    return lambda height, width: order(height, width)[::-1]


def transposed_order(order: Order) -> Order:
    """The order of the transposed grid: rows and columns trade places (right for height != width too)."""

    def transposed(height: int, width: int) -> np.ndarray:
        row, column = np.divmod(order(width, height), height)
        return column * width + row

    return transposed


def flipped_order(order: Order) -> Order:
    """Mirrored left to right."""

    def flipped(height: int, width: int) -> np.ndarray:
        row, column = np.divmod(order(height, width), width)
        return row * width + (width - 1 - column)

    return flipped


def order_of_cells(order: Order, cells: np.ndarray) -> np.ndarray:
    """An irregular set of cells in the order of the full grid that bounds it: tissue with holes, say.

    >>> import numpy as np
    >>> rows_backwards = reversed_order(lambda height, width: np.arange(height * width))
    >>> order_of_cells(rows_backwards, np.array([[5, 5], [4, 7], [5, 9]]))
    array([2, 0, 1])

    Args:
        cells: integers [n, 2], row and column of each; no two alike. They may start anywhere.

    Returns:
        int64 [n]: the index into `cells` at each step.

    Raises:
        ValueError: two cells in one place.
    """
    cells = cells.astype(np.int64)
    places = cells - cells.min(axis=0, initial=2**62)
    height, width = (int(side) + 1 for side in places.max(axis=0, initial=-1))
    flat = places[:, 0] * width + places[:, 1]
    if len(np.unique(flat)) != len(flat):
        raise ValueError(f"order_of_cells: every cell once, got {len(flat)} cells in {len(np.unique(flat))} places")
    index = np.full(height * width, -1, dtype=np.int64)
    index[flat] = np.arange(len(flat))
    visited = index[order(height, width)] if len(flat) else index
    return visited[visited >= 0]


def modified(scan: Scan, modifier: str) -> Scan:
    """The scan with every route changed, and where routes are cut, the cuts with them."""
    change, cuts = MODIFIERS[modifier], scan.segments
    scan = replace(scan, orders=tuple(change(order) for order in scan.orders))
    if cuts is one_sequence or modifier == "flipped":
        return scan
    if modifier == "reversed":
        return replace(scan, segments=lambda height, width: tuple(cuts(height, width))[::-1])
    return replace(scan, segments=lambda height, width: cuts(width, height))


MODIFIERS: dict[str, Callable[[Order], Order]] = {
    "reversed": reversed_order,
    "transposed": transposed_order,
    "flipped": flipped_order,
}
