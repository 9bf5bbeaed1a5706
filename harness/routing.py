"""Scans from their texts: modifiers, routes joined with `+`, ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .contracts import Order, Scan
from .errors import UserError, nearest
from .registry import scans
from .specs import Spec, format_spec, parse_scan


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


MODIFIERS: dict[str, Callable[[Order], Order]] = {
    "reversed": reversed_order,
    "transposed": transposed_order,
    "flipped": flipped_order,
}


def scan_from(text: str) -> tuple[str, int, Scan]:
    """Resolve a scan's text.

    Returns:
        its canonical text, its version (the sum of its routes' versions), and the scan.

    Raises:
        UserError: an unknown name, parameter or modifier, or '+' between schemes that have a merge of their own.
    """
    parts = [_resolve(spec) for spec in parse_scan(text)]
    canonical = "+".join(part[0] for part in parts)
    version = sum(part[1] for part in parts)
    if len(parts) == 1:
        return canonical, version, parts[0][2]
    for name, _, scan in parts:
        if len(scan.orders) > 1:
            raise UserError(
                f"scan {text!r}: '+' joins single routes and takes their mean, got {name!r}, which has"
                f" {len(scan.orders)} routes and a merge of its own; use it alone"
            )
    return canonical, version, Scan(orders=tuple(part[2].orders[0] for part in parts))


def _resolve(spec: Spec) -> tuple[str, int, Scan]:
    entry, values = scans.resolve(spec)
    scan: Scan = entry.create_light(values)
    for modifier in spec.modifiers:
        if modifier not in MODIFIERS:
            raise UserError(f"scan modifier {modifier!r} is not known; {nearest(modifier, MODIFIERS)}")
        scan = replace(scan, orders=tuple(MODIFIERS[modifier](order) for order in scan.orders))
    canonical = replace(entry.canonical(values), modifiers=spec.modifiers)
    return format_spec(canonical, scan=True), entry.version, scan
