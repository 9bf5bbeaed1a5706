"""The fast figures against their definitions, written out slowly, on routes that have no structure to help them."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import locality
from harness.analysis.locality import (
    blob_gaps,
    card,
    gap_quantile,
    is_jump,
    neighbour_gaps,
    retention,
    stretch,
    trained_retention,
    window_clusters,
)
from harness.contracts.errors import UserError
from harness.contracts.routes import rank_of
from harness.registry.routing import scan_from


@st.composite
def routes_on_grids(draw):
    """(route, grid): any permutation of the cells of a small grid of at least two."""
    height = draw(st.integers(1, 6))
    width = draw(st.integers(2 if height == 1 else 1, 6))
    return np.array(draw(st.permutations(range(height * width)))), (height, width)


def places_of(route, grid, size):
    """The sorted ranks in the window at every place, slowly."""
    rank = rank_of(route).reshape(grid)
    tall, wide = min(size, grid[0]), min(size, grid[1])
    for top in range(grid[0] - tall + 1):
        for left in range(grid[1] - wide + 1):
            yield sorted(rank[top : top + tall, left : left + wide].ravel().tolist())


@given(routes_on_grids())
def test_neighbour_gaps_are_over_every_pair_of_cells_that_share_a_side(case):
    route, grid = case
    rank = {divmod(cell, grid[1]): step for step, cell in enumerate(route.tolist())}
    slow = [
        abs(step - rank[beside])
        for (row, column), step in rank.items()
        for beside in ((row + 1, column), (row, column + 1))
        if beside in rank
    ]
    assert Counter(neighbour_gaps(route, grid).tolist()) == Counter(slow)


@given(routes_on_grids())
def test_stretch_is_the_largest_over_all_pairs(case):
    route, grid = case
    place = [divmod(cell, grid[1]) for cell in route.tolist()]
    slow = max(
        ((place[i][0] - place[j][0]) ** 2 + (place[i][1] - place[j][1]) ** 2) / (j - i)
        for i, j in combinations(range(len(place)), 2)
    )
    assert stretch(route, grid) == pytest.approx(slow)


@given(routes_on_grids(), st.integers(1, 7))
def test_clusters_are_counted_window_by_window(case, size):
    route, grid = case
    slow = [1 + sum(b - a > 1 for a, b in zip(ranks, ranks[1:], strict=False)) for ranks in places_of(*case, size)]
    assert window_clusters(route, grid, size) == pytest.approx(np.mean(slow))


@given(routes_on_grids(), st.integers(2, 7))
def test_gaps_of_dense_blobs_are_those_of_every_window(case, size):
    route, grid = case
    slow = np.bincount(np.concatenate([np.diff(ranks) for ranks in places_of(*case, size)]), minlength=route.size)
    np.testing.assert_allclose(blob_gaps(route, grid, size), slow / slow.sum(), atol=1e-12)


@settings(max_examples=20)
@given(routes_on_grids())
def test_gaps_of_half_blobs_are_those_of_every_half_of_every_window(case):
    route, grid = case
    slow = np.zeros(route.size)
    for ranks in places_of(*case, 3):
        for chosen in combinations(ranks, max(2, (len(ranks) + 1) // 2)):
            slow += np.bincount(np.diff(chosen), minlength=route.size)
    np.testing.assert_allclose(blob_gaps(route, grid, 3, half=True), slow / slow.sum(), atol=1e-12)


def test_cutting_the_work_into_strips_changes_nothing(monkeypatch):
    grid = (9, 7)
    route = scan_from("random")[2].routes(grid)[0]
    whole = blob_gaps(route, grid, 3, half=True)
    monkeypatch.setattr(locality, "RANKS_AT_ONCE", 1)
    np.testing.assert_allclose(blob_gaps(route, grid, 3, half=True), whole, atol=1e-15)


def test_retention_and_quantiles_of_a_distribution_written_by_hand():
    shares = np.array([0, 0.5, 0.4, 0, 0.1])  # gap 1: half of them, gap 2: four tenths, gap 4: the rest
    assert retention(shares, 0.5) == pytest.approx(0.5 * 0.5 + 0.4 * 0.25 + 0.1 * 0.0625)
    assert [gap_quantile(shares, share) for share in (0.5, 0.51, 0.9, 0.91, 1.0)] == [1, 2, 2, 4, 4]


@pytest.mark.parametrize(("grid", "jumps"), [((14, 14), 5), ((100, 60), 16)])
def test_dropping_cells_of_the_next_power_of_two_jumps_and_hilbert_does_not(grid, jumps):
    """Why the scan hilbert is the generalized curve on such grids."""
    side = 1 << (max(grid) - 1).bit_length()
    row, column = np.divmod(scan_from("hilbert")[2].routes((side, side))[0], side)
    there = (row < grid[0]) & (column < grid[1])
    dropped = row[there] * grid[1] + column[there]
    assert is_jump(dropped, grid).sum() == jumps
    assert not is_jump(scan_from("hilbert")[2].routes(grid)[0], grid).any()


def test_a_card_leaves_out_the_stretch_of_a_grid_too_large_for_it(monkeypatch):
    monkeypatch.setattr(locality, "STRETCH_CELLS", 15)
    routes = scan_from("snake")[2].routes((4, 4))
    assert card(routes, (4, 4))["stretch"] == [None]
    with pytest.raises(UserError, match="up to 15 cells, got 16"):
        stretch(routes[0], (4, 4))


def test_a_card_of_one_cell_or_of_no_permutation_is_refused():
    with pytest.raises(UserError, match="at least two cells, got 1x1"):
        card(np.zeros((1, 1), dtype=np.int64), (1, 1))
    with pytest.raises(ValueError, match="visit each of the 4 cells once"):
        card(np.array([[0, 1, 2, 2]]), (2, 2))
    with pytest.raises(UserError, match="at least two cells, got size 1"):
        blob_gaps(np.arange(4), (2, 2), 1)


@given(routes_on_grids(), st.integers(1, 3), st.booleans(), st.data())
@settings(max_examples=30)
def test_cells_of_different_sequences_never_meet(case, size, half, data):
    route, grid = case
    size = max(size, 2)
    cut = data.draw(st.integers(1, route.size - 1))
    whole = blob_gaps(route, grid, size, half=half)
    apart = blob_gaps(route, grid, size, half=half, segments=(cut, route.size - cut))
    assert (apart <= whole + 1e-12).all()
    lost = Counter()
    for ranks in places_of(route, grid, size):
        for a, b in zip(ranks, ranks[1:], strict=False):
            lost[(a < cut) != (b < cut)] += 1
    if not half:
        assert apart.sum() == pytest.approx(lost[False] / (lost[False] + lost[True]))
    assert retention(apart, 1.0) == pytest.approx(apart.sum())


def test_trained_decays_count_the_same():
    shares = np.array([0, 0.5, 0.5])
    assert trained_retention(shares, [0.5, 1.0]) == pytest.approx((0.375 + 1) / 2)
