"""Published closed forms, worked examples, and bugs found elsewhere."""

import numpy as np
import pytest

from harness.analysis.locality import (
    blob_gaps,
    card,
    is_jump,
    neighbour_gaps,
    retention,
    step_lengths,
    stretch,
    window_clusters,
)
from harness.contracts.routes import rank_of
from harness.registry import scans
from harness.registry.routing import scan_from

LEAST = {1: 0, 2: 6, 3: 24, 4: 60, 5: 116, 6: 200, 7: 318, 8: 472}
"""The least sum of gaps of any numbering of an N x N grid (Fishburn, Tetali and Winkler 2000)."""


def route_of(text, *grid):
    return scan_from(text)[2].routes(grid)[0]


def gap_sum(text, height, width=None):
    grid = (height, width or height)
    return int(neighbour_gaps(route_of(text, *grid), grid).sum())


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("name", ["horizontal", "vertical", "snake", "morton", "window:size=2"])
def test_rows_snake_morton_and_aligned_windows_tie_at_n_cubed_minus_n(name, n):
    assert gap_sum(name, n) == n**3 - n


@pytest.mark.parametrize("name", ["horizontal", "snake"])
@pytest.mark.parametrize(("height", "width"), [(1, 7), (7, 1), (3, 8), (8, 3), (13, 9)])
def test_rows_and_snake_on_rectangles(name, height, width):
    assert gap_sum(name, height, width) == height * (width - 1) + width**2 * (height - 1)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_hilberts_sum_and_largest_gap(k):
    n = 2**k
    assert 42 * gap_sum("hilbert", n) == 51 * 8**k - 35 * 4**k - 16  # 17*8^k/14 - 5*4^k/6 - 8/21
    largest = int(neighbour_gaps(route_of("hilbert", n, n), (n, n)).max())
    assert largest == (5 * 2 ** (2 * k - 1) - 1) // 3


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_largest_gaps_of_morton_snake_and_rows(k):
    n = 2**k
    largest = {
        name: int(neighbour_gaps(route_of(name, n, n), (n, n)).max()) for name in ("morton", "snake", "horizontal")
    }
    assert largest == {"morton": (4**k + 2) // 3, "snake": 2 * n - 1, "horizontal": n}


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16])
@pytest.mark.parametrize("name", ["diagonal", "zigzag"])
def test_diagonals(name, n):
    assert 3 * gap_sum(name, n) == n * (n - 1) * (4 * n + 1)


def test_spiral():
    assert (gap_sum("spiral", 16), gap_sum("spiral", 32)) == (9260, 80476)
    for n in (4, 7, 16, 32):
        assert neighbour_gaps(route_of("spiral", n, n), (n, n)).max() == 4 * n - 5


def test_peano():
    assert [gap_sum("peano", n) for n in (3, 9, 27, 81)] == [24, 816, 23496, 647520]


@pytest.mark.parametrize("name", scans.names())
def test_no_order_falls_below_the_least_possible(name):
    sizes = {"moore": (2, 4, 8), "peano": (3,)}.get(name, range(2, 9))
    for n in sizes:
        assert gap_sum(name, n) >= LEAST[n]


def test_random_orders_have_the_expected_mean_gap():
    grid = (12, 17)
    means = [neighbour_gaps(route_of(f"random:seed={seed}", *grid), grid).mean() for seed in range(60)]
    expected = (12 * 17 + 1) / 3
    assert np.mean(means) == pytest.approx(expected, abs=4 * np.std(means) / np.sqrt(60))


@pytest.mark.parametrize(("n", "value"), [(4, 2.5), (8, 3.625), (16, 4.4815), (32, 5.2326), (64, 5.6199)])
def test_hilberts_stretch_is_gotsman_and_lindenbaums(n, value):
    assert stretch(route_of("hilbert", n, n), (n, n)) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("n", [4, 8, 16])
def test_stretch_of_rows_and_snake(n):
    assert stretch(route_of("horizontal", n, n), (n, n)) == (n - 1) ** 2 + 1
    assert stretch(route_of("snake", n, n), (n, n)) == pytest.approx(n - 1)


@pytest.mark.parametrize(
    ("name", "value"), [("hilbert", 7.862), ("snake", 7.877), ("horizontal", 8), ("morton", 13.946)]
)
def test_clusters_are_those_of_moon_and_others(name, value):
    assert window_clusters(route_of(name, 64, 64), (64, 64), 8) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize(("decay", "rows", "hilbert"), [(0.5, 0.375, 0.394), (0.9, 0.732, 0.795), (0.99, 0.960, 0.960)])
def test_how_strongly_neighbours_in_a_blob_speak_depends_on_the_decay(decay, rows, hilbert):
    grid = (16, 16)
    found = [retention(blob_gaps(route_of(name, *grid), grid, 3), decay) for name in ("horizontal", "hilbert")]
    assert found == pytest.approx([rows, hilbert], abs=1e-3)


def test_a_half_filled_blob_is_averaged_over_all_its_halves():
    grid, draw = (6, 5), np.random.default_rng(0)
    rank = rank_of(route_of("hilbert", *grid)).reshape(grid)
    gaps = []
    for _ in range(20_000):
        top, left = draw.integers(0, 4), draw.integers(0, 3)
        chosen = draw.choice(rank[top : top + 3, left : left + 3].ravel(), size=5, replace=False)
        gaps.append(np.diff(np.sort(chosen)))
    drawn = np.bincount(np.concatenate(gaps), minlength=30) / np.concatenate(gaps).size
    np.testing.assert_allclose(blob_gaps(route_of("hilbert", *grid), grid, 3, half=True), drawn, atol=0.01)


def test_the_generalized_curve_stays_connected_on_every_rectangle():
    for height in range(2, 25):
        for width in range(2, 25):
            route = route_of("hilbert", height, width)
            assert sorted(route) == list(range(height * width))
            assert not is_jump(route, (height, width)).any()
            diagonal = int((step_lengths(route, (height, width)) > 1).sum())
            larger, smaller = max(height, width), min(height, width)
            assert diagonal <= (1 if larger % 2 == 1 and smaller % 2 == 0 else 0)


@pytest.mark.parametrize("n", [4, 8, 16, 32])
def test_on_powers_of_two_it_is_hilberts_own_curve(n):
    """Every aligned quadrant, at every level, is one unbroken quarter of the sequence."""
    rank = rank_of(route_of("hilbert", n, n)).reshape(n, n)
    side = n // 2
    while side >= 2:
        for top in range(0, n, side):
            for left in range(0, n, side):
                block = rank[top : top + side, left : left + side]
                assert np.ptp(block) == side * side - 1
        side //= 2


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_moore_is_closed(n):
    row, column = np.divmod(route_of("moore", n, n), n)
    assert abs(row[0] - row[-1]) + abs(column[0] - column[-1]) == 1
    assert (step_lengths(route_of("moore", n, n), (n, n)) == 1).all()


@pytest.mark.parametrize(
    ("name", "grid", "expected"),
    [
        ("horizontal", (2, 3), [0, 1, 2, 3, 4, 5]),
        ("vertical", (2, 3), [0, 3, 1, 4, 2, 5]),
        ("snake", (3, 2), [0, 1, 3, 2, 4, 5]),
        ("morton", (2, 4), [0, 1, 4, 5, 2, 3, 6, 7]),
        ("spiral", (3, 3), [0, 1, 2, 5, 8, 7, 6, 3, 4]),
        ("window:size=2", (3, 3), [0, 1, 3, 4, 2, 5, 6, 7, 8]),
        ("peano", (3, 3), None),
    ],
)
def test_worked_examples(name, grid, expected):
    found = route_of(name, *grid).tolist()
    if expected is None:
        assert (step_lengths(np.array(found), grid) == 1).all()
    else:
        assert found == expected


def test_zigzag_is_jpegs():
    """The first sixteen entries of the zigzag sequence of ITU-T T.81, figure 5, or its mirror image."""
    jpeg = [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5]
    mirrored = [8 * (cell % 8) + cell // 8 for cell in jpeg]
    assert route_of("zigzag", 8, 8)[:16].tolist() in (jpeg, mirrored)


# Bugs seen in other repositories.


def test_a_route_is_a_gather_index_and_not_its_inverse():
    assert route_of("vertical", 2, 3).tolist() == [0, 3, 1, 4, 2, 5]
    assert rank_of(route_of("vertical", 2, 3)).tolist() == [0, 2, 4, 1, 3, 5]


def test_vertical_reversed_is_right_where_height_is_not_width():
    assert route_of("vertical.reversed", 2, 3).tolist() == [5, 2, 4, 1, 3, 0]
    assert route_of("horizontal.transposed", 2, 3).tolist() == route_of("vertical", 2, 3).tolist()


@pytest.mark.parametrize("name", ["window:size=3", "hilbert", "morton"])
def test_no_padding_lengthens_the_sequence(name):
    assert route_of(name, 7, 10).size == 70


def test_the_card_holds_every_figure_for_every_route():
    routes = scan_from("cross")[2].routes((8, 8))
    figures = card(routes, (8, 8))
    assert {len(values) for values in figures.values()} == {4}
    assert figures["neighbour_gap_sum"] == [8**3 - 8] * 4
    assert figures["jumps"] == [7] * 4
