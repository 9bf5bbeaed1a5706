"""The atrous scan of EfficientVMamba."""

from __future__ import annotations

import numpy as np

from harness.contracts import Scan
from harness.registry import scans

SUBGRIDS = ((0, 0), (1, 0), (0, 1), (1, 1))
"""First row and column of each: every second cell from there on, in either direction."""


def subgrids(height: int, width: int) -> list[np.ndarray]:
    """The cells of each subgrid that has any: by rows where its rows start at 0, by columns where they start at 1."""
    cells = np.arange(height * width, dtype=np.int64).reshape(height, width)
    parts = [cells[row::2, column::2] for row, column in SUBGRIDS]
    routes = [part.T.ravel() if row else part.ravel() for part, (row, _) in zip(parts, SUBGRIDS, strict=True)]
    return [route for route in routes if route.size]


@scans.register("atrous", version=1)
def atrous() -> Scan:
    """Four interleaved subgrids of every second cell, each a sequence of its own; every cell stands in one of them.

    Even rows are read by rows, odd ones by columns. One pass over the cells does for all four, and nothing is mixed
    between them. On a 2 x 3 grid: 0 2 | 3 5 | 1 | 4.

    Source: X. Pei, T. Huang and C. Xu, "EfficientVMamba: Atrous selective scan for light weight visual Mamba", arXiv
    2403.09977 (ES2D with step 2). There each subgrid has parameters of its own; here they share one mixer.
    """
    return Scan(
        orders=(lambda height, width: np.concatenate(subgrids(height, width)),),
        segments=lambda height, width: [len(route) for route in subgrids(height, width)],
    )
