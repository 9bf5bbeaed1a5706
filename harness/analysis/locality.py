"""The figures of a scan card: how well a route keeps near what is near, in both directions.

Words: the rank of a cell is the step at which the route visits it; neighbours are the pairs of cells that share a
side; the gap of two cells is the difference of their ranks. A route is int64 [cells], a gather index.

No single figure ranks the orders. By the mean gap of neighbours (2D to 1D) rows, snake and Morton tie and Hilbert is
worse; by how far a stretch of the sequence spreads on the grid (1D to 2D) Hilbert is best. What a recurrent mixer feels
is a third thing, how much of its state is left when the next token of the same blob arrives: `retention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from harness.contracts import Grid
from harness.contracts.errors import UserError
from harness.contracts.routes import check_routes, rank_of

STRETCH_CELLS = 256 * 256
"""Largest grid, in cells, for which `stretch` is computed: its work grows with the square of the cells."""

RANKS_AT_ONCE = 2**20  # bounds the memory of `blob_gaps`


def neighbour_gaps(route: np.ndarray, grid: Grid) -> np.ndarray:
    """The gap of every pair of neighbours, int64 [pairs]: pairs in a row first, then pairs in a column.

    Its sum is what G. Mitchison and R. Durbin, "Optimal numberings of an N x N array" (SIAM J. Alg. Disc. Meth. 7,
    1986) and P. Fishburn, P. Tetali and P. Winkler, "Optimal linear arrangement of a rectangular grid" (Discrete
    Mathematics 213, 2000) minimize. A 1 x 1 grid has no pair.
    """
    rank = rank_of(route).reshape(grid)
    return np.concatenate([np.abs(np.diff(rank, axis=1)).ravel(), np.abs(np.diff(rank, axis=0)).ravel()])


def step_lengths(route: np.ndarray, grid: Grid) -> np.ndarray:
    """Euclidean length of every step of the route, float64 [cells - 1], in cells."""
    row, column = np.divmod(route, grid[1])
    return np.hypot(np.diff(row), np.diff(column))


def is_jump(route: np.ndarray, grid: Grid) -> np.ndarray:
    """Which steps leave the eight cells around, bool [cells - 1]; a diagonal step to a touching cell is no jump."""
    row, column = np.divmod(route, grid[1])
    return np.maximum(np.abs(np.diff(row)), np.abs(np.diff(column))) > 1


def stretch(route: np.ndarray, grid: Grid) -> float:
    """The largest d^2 / gap over all pairs of cells, d their Euclidean distance in cells.

    Low is good: a stretch of n steps stays within sqrt(stretch * n) cells. Hilbert's tends to 6 on large grids. Exact;
    memory grows with the cells, not with the pairs.

    Raises:
        UserError: the grid has more than `STRETCH_CELLS` cells.

    Source: C. Gotsman and M. Lindenbaum, "On the metric properties of discrete space-filling curves", IEEE
    Transactions on Image Processing 5 (1996).
    """
    if route.size > STRETCH_CELLS:
        raise UserError(f"stretch is computed up to {STRETCH_CELLS} cells, got {route.size}; take a smaller grid")
    row, column = (part.astype(np.int32) for part in np.divmod(route, grid[1]))
    farthest = (grid[0] - 1) ** 2 + (grid[1] - 1) ** 2
    best = 0.0
    for gap in range(1, route.size):
        if farthest <= best * gap:  # no pair this many steps apart can be far enough to win
            break
        squared = (row[gap:] - row[:-gap]) ** 2 + (column[gap:] - column[:-gap]) ** 2
        best = max(best, int(squared.max()) / gap)
    return best


def window_clusters(route: np.ndarray, grid: Grid, size: int) -> float:
    """Mean number of unbroken runs of the route that cover a window of size x size cells, over all its places.

    Low is good: one run would mean that the window is one piece of the sequence. A window taller or wider than the
    grid is cut to it.

    Source: B. Moon, H. V. Jagadish, C. Faloutsos and J. H. Saltz, "Analysis of the clustering properties of the
    Hilbert space-filling curve", IEEE Transactions on Knowledge and Data Engineering 13 (2001).
    """
    inside = places = cells = 1  # inside, of a step: in how many places the window holds both of its ends
    for position, extent in zip(np.divmod(route, grid[1]), grid, strict=True):
        side = min(size, extent)
        first = np.maximum(np.maximum(position[1:], position[:-1]) - side + 1, 0)
        last = np.minimum(np.minimum(position[1:], position[:-1]), extent - side)
        inside = inside * np.maximum(last - first + 1, 0)
        places *= extent - side + 1
        cells *= side
    # A window with s steps inside it is cut into cells - s runs.
    return cells - float(np.sum(inside)) / places


def blob_gaps(
    route: np.ndarray, grid: Grid, size: int, *, half: bool = False, segments: Sequence[int] = ()
) -> np.ndarray:
    """Distribution of the gaps between successive cells of one blob, in the order in which the route meets them.

    A blob is a window of size x size cells (cut to the grid), all of it or, with `half`, a random half of its cells
    (rounded up, at least two). Every place of the window counts the same. The random half is not drawn but averaged
    over all halves: of n cells in route order the i-th and the j-th are successive members of a random m of them with
    probability C(n - 1 - (j - i), m - 2) / C(n, m).

    Args:
        segments: lengths that cut the route into sequences of their own (`Scan.segment_lengths`). Cells of different
            sequences never meet, however far apart they are.

    Returns:
        float64 [cells]: `shares[g]` is the share of gap g. They sum to 1, less the share of those that never meet.

    Raises:
        UserError: the blob would have fewer than two cells.
    """
    shape = (min(size, grid[0]), min(size, grid[1]))
    count = shape[0] * shape[1]
    if count < 2:
        raise UserError(f"a blob has at least two cells, got size {size} on a grid of {grid[0]}x{grid[1]}")
    members = max(2, (count + 1) // 2) if half else count
    windows = np.lib.stride_tricks.sliding_window_view(rank_of(route).reshape(grid), shape)
    shares = np.zeros(route.size)
    sequence = np.repeat(np.arange(len(segments)), segments) if len(segments) > 1 else None
    strip = max(1, RANKS_AT_ONCE // (windows.shape[1] * count))
    for top in range(0, windows.shape[0], strip):
        ranks = np.sort(windows[top : top + strip].reshape(-1, count), axis=1)
        for apart in range(1, count - members + 2):
            weight = comb(count - 1 - apart, members - 2) / comb(count, members) / (members - 1)
            gaps = (ranks[:, apart:] - ranks[:, :-apart]).ravel()
            if sequence is not None:
                gaps = gaps[(sequence[ranks[:, apart:]] == sequence[ranks[:, :-apart]]).ravel()]
            shares += weight * np.bincount(gaps, minlength=route.size)
    return shares / (windows.shape[0] * windows.shape[1])


def retention(shares: np.ndarray, decay: float) -> float:
    """Mean of decay^gap over a distribution of gaps: what is left of a blob cell's trace when its next one arrives.

    Args:
        shares: float [cells], the share of each gap (`blob_gaps`).
        decay: the part of the state that a mixer keeps at each step, 0 to 1; .5 is a gate at its start.
    """
    return float(shares @ np.power(float(decay), np.arange(shares.size)))


def gap_quantile(shares: np.ndarray, quantile: float) -> int:
    """The smallest gap such that at least the share `quantile` of all gaps is no longer; as many as there are cells
    where too many never meet.
    """
    # The cumulated shares carry rounding errors; a share that is there is never that small.
    return int(np.searchsorted(np.cumsum(shares), quantile - 1e-9))


def card(
    routes: np.ndarray,
    grid: Grid,
    *,
    window: int = 4,
    blob: int = 3,
    decays: Sequence[float] = (0.5, 0.9, 0.99),
    segments: Sequence[int] = (),
) -> dict[str, list[float | None]]:
    """All figures of a scan on a grid, a list with one value a route under each name.

    Args:
        routes: int64 [routes, cells], gather indices.
        grid: (height, width) in cells.
        window: side of the window of `window_clusters`, in cells.
        blob: side of the blob of `blob_gaps`, in cells.
        decays: the decays of `retention`.
        segments: where routes are cut, for the blobs alone; the other figures are those of the uncut route.

    Returns:
        figures by name; None for `stretch` on a grid of more than `STRETCH_CELLS` cells.

    Raises:
        UserError: a grid of one cell, which has nothing to measure.
        ValueError: a route is no permutation of the cells.
    """
    cells = grid[0] * grid[1]
    if cells < 2:
        raise UserError(f"a scan card needs a grid of at least two cells, got {grid[0]}x{grid[1]}")
    check_routes(routes, cells, subject="scan card")

    def figures(route: np.ndarray) -> dict[str, float | None]:
        gaps, lengths = neighbour_gaps(route, grid), step_lengths(route, grid)
        found: dict[str, float | None] = {
            "neighbour_gap_sum": int(gaps.sum()),
            "neighbour_gap_mean": float(gaps.mean()),
            "neighbour_gap_largest": int(gaps.max()),
            "step_length_mean": float(lengths.mean()),
            "step_length_largest": float(lengths.max()),
            "jumps": int(is_jump(route, grid).sum()),
            "stretch": stretch(route, grid) if route.size <= STRETCH_CELLS else None,
            "window_clusters": window_clusters(route, grid, window),
        }
        for name, half in (("dense_blob", False), ("half_blob", True)):
            shares = blob_gaps(route, grid, blob, half=half, segments=segments)
            found[f"{name}_gap_median"] = gap_quantile(shares, 0.5)
            found[f"{name}_gap_90_percent"] = gap_quantile(shares, 0.9)
            found |= {f"{name}_retention_{decay:g}": retention(shares, decay) for decay in decays}
        return found

    rows = [figures(route) for route in routes]
    return {name: [row[name] for row in rows] for name in rows[0]}


def trained_retention(shares: np.ndarray, decays: Sequence[float]) -> float:
    """`retention` averaged over decays that count the same: the quantiles that a record of a trained model holds."""
    return sum(retention(shares, decay) for decay in decays) / len(decays)
