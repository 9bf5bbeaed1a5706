"""The continuous four-way scan of PlainMamba."""

from __future__ import annotations

from typing import Literal

from harness.contracts import Scan
from harness.contracts.routes import reversed_order, transposed_order
from harness.registry import scans

from .snake import snake_order


@scans.register("continuous", version=1)
def continuous(merge: Literal["sum", "mean", "gated"] = "sum", direction_embedding: bool = True) -> Scan:
    """Rows and columns as snakes, and both backwards, through one mixer that is told the direction; summed.

    Args:
        merge: how the four outputs of a cell become one.
        direction_embedding: add a learned vector a route to its tokens, zero at the start. The source adds it to the
            input matrix B of its state space model; at the token it serves every mixer.

    Source: C. Yang et al., "PlainMamba: Improving non-hierarchical Mamba in visual recognition", arXiv 2403.17695.
    """
    columns = transposed_order(snake_order)
    orders = (snake_order, columns, reversed_order(snake_order), reversed_order(columns))
    return Scan(orders=orders, merge=merge, direction_embedding=direction_embedding)
