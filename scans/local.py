"""Rows, columns and windows side by side, as in LocalMamba."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts import Order, Scan
from harness.contracts.routes import reversed_order
from harness.registry import Range, scans

from .horizontal import rows
from .vertical import columns
from .window import window_order


@scans.register("local", version=1)
def local(
    small: Annotated[int, Range(1, 65536)] = 2,
    large: Annotated[int, Range(1, 65536)] = 7,
    both_ways: bool = False,
    merge: Literal["gated", "sum", "mean"] = "gated",
) -> Scan:
    """Rows, columns, and windows of two sizes, each with a mixer of its own; a gated sum.

    The source searches four of eight routes for every layer; here all layers follow the same ones.

    Args:
        small: side of the small windows. large: side of the large ones; both in cells.
        both_ways: also every route backwards, eight in all.
        merge: how the outputs of a cell become one. The source weighs routes by an attention over channels and places;
            here a sigmoid gate a route sees the mixer's input at the cell.

    Source: T. Huang et al., "LocalMamba: Visual state space model with windowed selective scan", arXiv 2403.09338.
    """

    def windows(size: int) -> Order:
        return lambda height, width: window_order(height, width, size)

    orders: tuple[Order, ...] = (rows, columns, windows(small), windows(large))
    if both_ways:
        orders += tuple(reversed_order(order) for order in orders)
    return Scan(orders=orders, merge=merge, own_parameters=True)
