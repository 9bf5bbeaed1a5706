"""The four-way scan of VMamba."""

from __future__ import annotations

from typing import Literal

from harness.contracts import Scan
from harness.contracts.routes import reversed_order
from harness.registry import scans

from .horizontal import rows
from .vertical import columns


@scans.register("cross", version=1)
def cross(merge: Literal["sum", "mean", "gated"] = "sum", own_parameters: bool = True) -> Scan:
    """Rows, columns, and both backwards, each with a mixer of its own; the outputs are summed.

    Args:
        merge: how the four outputs of a cell become one. own_parameters: false shares one mixer between the routes.

    Source: Y. Liu et al., "VMamba: Visual state space model", arXiv 2401.10166 (SS2D, cross-scan and cross-merge).
    """
    orders = (rows, columns, reversed_order(rows), reversed_order(columns))
    return Scan(orders=orders, merge=merge, own_parameters=own_parameters)
