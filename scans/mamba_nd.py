"""Rows and columns there and back, one a layer, as in Mamba-ND."""

from __future__ import annotations

from harness.contracts import Scan
from harness.contracts.routes import reversed_order
from harness.registry import scans

from .horizontal import rows
from .vertical import columns


@scans.register("mamba-nd", version=1)
def mamba_nd() -> Scan:
    """Rows, rows backwards, columns, columns backwards; each layer follows one, in turn.

    A model of fewer than four layers follows the first ones only: one layer is plain rows.

    Source: S. Li, H. Singh and A. Grover, "Mamba-ND: Selective state space modeling for multi-dimensional data", arXiv
    2402.05892 (the order H+ H- W+ W-).
    """
    return Scan(orders=(rows, reversed_order(rows), columns, reversed_order(columns)), per_layer=True)
