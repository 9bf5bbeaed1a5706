"""Rows both ways, as in Vision Mamba."""

from __future__ import annotations

from typing import Literal

from harness.contracts import Scan
from harness.contracts.routes import reversed_order
from harness.registry import scans

from .horizontal import rows


@scans.register("bidirectional", version=1)
def bidirectional(merge: Literal["mean", "sum", "gated"] = "mean", own_parameters: bool = False) -> Scan:
    """Row by row, forwards and backwards, through one shared mixer.

    Args:
        merge: how the two outputs of a cell become one. own_parameters: a mixer for each direction.

    Source: L. Zhu et al., "Vision Mamba", arXiv 2401.09417; there each direction has state space parameters of its own.
    """
    return Scan(orders=(rows, reversed_order(rows)), merge=merge, own_parameters=own_parameters)
