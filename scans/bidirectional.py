"""Rows both ways, as in Vision Mamba."""

from __future__ import annotations

from typing import Literal

from harness.contracts import Scan
from harness.registry import scans
from harness.routing import reversed_order

from .horizontal import rows


@scans.register("bidirectional", version=1)
def bidirectional(merge: Literal["mean", "sum"] = "mean") -> Scan:
    """Row by row, forwards and backwards, through one shared mixer.

    Args:
        merge: how the two outputs of a cell become one.

    Source: L. Zhu et al., "Vision Mamba", arXiv 2401.09417; there each direction has state space parameters of its own.
    """
    return Scan(orders=(rows, reversed_order(rows)), merge=merge)
