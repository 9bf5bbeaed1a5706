"""Hilbert's curve twice, as in FractalMamba."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts import Scan
from harness.registry import Range, scans

from .hilbert import hilbert_order, shifted_order


@scans.register("fractal", version=1)
def fractal(shift: Annotated[int, Range(1, 4096)] = 1, merge: Literal["sum", "mean", "gated"] = "sum") -> Scan:
    """Hilbert's curve and the same curve shifted, through one shared mixer; the outputs are summed.

    Args:
        shift: rows and columns, see `hilbert-shifted`.
        merge: how the two outputs of a cell become one.

    Source: the idea of FractalMamba (Tang et al., arXiv 2405.14480): a second, shifted curve joins what the first one
    parts. How the curve is shifted is ours.
    """
    return Scan(orders=(hilbert_order, lambda height, width: shifted_order(height, width, shift)), merge=merge)
