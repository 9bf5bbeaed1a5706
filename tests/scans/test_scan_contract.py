"""What every registered scan owes the harness; the entry's name is the test's id."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts.errors import Unsupported
from harness.contracts.routes import MODIFIERS, check_routes, order_of_cells, rank_of
from harness.registry import scans
from harness.registry.plugin_checks import check_entry
from harness.registry.routing import scan_from

GOLDEN = Path(__file__).with_name("golden.json")
SQUARES = {"moore": (8, 8), "peano": (9, 9)}  # orders that fit special squares only
SMALL_GRIDS = [(8, 8), (9, 9), (5, 7)]

each_scan = pytest.mark.parametrize("name", scans.names())


def routes_of(text, grid):
    return scan_from(text)[2].routes(grid)


def digest(text: str) -> dict[str, object]:
    """The version of a scan and a hash of its routes on every small grid that it fits."""
    _, version, scan = scan_from(text)
    scheme = (scan.merge, scan.own_parameters, scan.direction_embedding, scan.per_layer)
    found: dict[str, object] = {"version": version, "scheme": " ".join(map(str, scheme))}
    for grid in SMALL_GRIDS:
        try:
            routes = scan.routes(grid)
        except Unsupported:
            continue
        found[f"{grid[0]}x{grid[1]}"] = hashlib.sha256(routes.astype("<i8").tobytes()).hexdigest()[:16]
        if len(scan.segment_lengths(grid)) > 1:
            found[f"segments {grid[0]}x{grid[1]}"] = list(scan.segment_lengths(grid))
    return found


@each_scan
def test_every_route_visits_every_cell_once_and_rank_is_its_inverse(name):
    for grid in [SQUARES.get(name)] if name in SQUARES else [(1, 1), (1, 9), (9, 1), (2, 3), (6, 6), (5, 7), (16, 3)]:
        routes = check_routes(routes_of(name, grid), grid[0] * grid[1], subject=name)
        assert routes.dtype == np.int64
        steps = np.broadcast_to(np.arange(routes.shape[1]), routes.shape)
        np.testing.assert_array_equal(np.take_along_axis(rank_of(routes), routes, axis=1), steps)
        np.testing.assert_array_equal(np.take_along_axis(routes, rank_of(routes), axis=1), steps)


@each_scan
def test_what_check_asks_of_anybodys_holds(name):
    assert [finding for finding in check_entry(scans.get(name)) if finding.problem or finding.skipped] == []


@each_scan
def test_modifiers_do_what_they_say(name):
    height, width = grid = SQUARES.get(name, (5, 7))
    plain = routes_of(name, grid)
    np.testing.assert_array_equal(routes_of(f"{name}.reversed", grid), plain[:, ::-1])
    row, column = np.divmod(plain, width)
    np.testing.assert_array_equal(routes_of(f"{name}.flipped", grid), row * width + width - 1 - column)
    # The transposed order of a grid is the order of the transposed grid, with row and column swapped.
    row, column = np.divmod(routes_of(name, (width, height)), height)
    np.testing.assert_array_equal(routes_of(f"{name}.transposed", grid), column * width + row)


@each_scan
def test_segments_add_up_to_the_cells_whatever_the_modifier(name):
    height, width = grid = SQUARES.get(name, (5, 7))
    plain = scan_from(name)[2].segment_lengths(grid)
    assert sum(plain) == height * width and min(plain) >= 1
    assert scan_from(f"{name}.reversed")[2].segment_lengths(grid) == plain[::-1]
    assert scan_from(f"{name}.flipped")[2].segment_lengths(grid) == plain
    assert scan_from(f"{name}.transposed")[2].segment_lengths((width, height)) == plain


@each_scan
@pytest.mark.parametrize("modifier", MODIFIERS)
def test_a_modifier_twice_is_no_modifier(name, modifier):
    grid = SQUARES.get(name, (4, 6))
    np.testing.assert_array_equal(routes_of(f"{name}.{modifier}.{modifier}", grid), routes_of(name, grid))


@pytest.mark.parametrize("name", sorted(set(scans.names()) - set(SQUARES)))
@given(height=st.integers(1, 24), width=st.integers(1, 24))
def test_any_grid_is_visited_cell_by_cell(name, height, width):
    check_routes(routes_of(name, (height, width)), height * width, subject=name)


@pytest.mark.parametrize("name", SQUARES)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_grid_that_does_not_fit_says_why_and_what_to_do(name, height, width):
    try:
        routes = routes_of(name, (height, width))
    except Unsupported as error:
        assert f"{height}x{width}" in error.reason
        assert error.cure
    else:
        assert height == width
        check_routes(routes, height * width, subject=name)


@each_scan
def test_routes_of_a_large_grid_are_made(name):
    side = 243 if name == "peano" else 256
    assert routes_of(name, (side, side)).shape[1] == side * side


@each_scan
def test_behaviour_does_not_change_without_a_new_version(name):
    golden = json.loads(GOLDEN.read_text())
    assert name in golden, f"write it down with: python {Path(__file__).name}"
    found = digest(name)
    assert found == golden[name], (
        f"the routes of {name} changed: raise its version and run python tests/scans/{Path(__file__).name}, or undo"
    )


def test_several_routes_join_with_plus_and_are_averaged():
    _, version, scan = scan_from("hilbert+window:size=3.reversed")
    routes = scan.routes((6, 6))
    assert version == 2
    assert scan.merge == "mean"
    np.testing.assert_array_equal(routes[0], routes_of("hilbert", (6, 6))[0])
    np.testing.assert_array_equal(routes[1], routes_of("window:size=3", (6, 6))[0][::-1])


def test_named_schemes_are_the_routes_of_their_sources():
    horizontal, vertical = routes_of("horizontal", (3, 5))[0], routes_of("vertical", (3, 5))[0]
    np.testing.assert_array_equal(routes_of("bidirectional", (3, 5)), [horizontal, horizontal[::-1]])
    np.testing.assert_array_equal(routes_of("cross", (3, 5)), [horizontal, vertical, horizontal[::-1], vertical[::-1]])
    _, _, cross = scan_from("cross")
    assert (cross.merge, cross.own_parameters) == ("sum", True)
    assert scan_from("bidirectional:merge=sum")[2].merge == "sum"


def test_the_atrous_scan_puts_every_cell_into_one_of_four_subgrids():
    route = routes_of("atrous", (3, 5))[0]
    lengths = scan_from("atrous")[2].segment_lengths((3, 5))
    assert lengths == (6, 3, 4, 2)
    parts = np.split(route, np.cumsum(lengths)[:-1])
    places = [sorted({(cell // 5 % 2, cell % 5 % 2) for cell in part}) for part in parts]
    assert places == [[(0, 0)], [(1, 0)], [(0, 1)], [(1, 1)]]
    assert scan_from("atrous")[2].segment_lengths((1, 1)) == (1,)


def test_zigmas_eight_snakes_are_the_eight_symmetries_of_one():
    routes = routes_of("zigma8", (4, 4))
    corners = {0, 3, 12, 15}
    assert len({tuple(route) for route in routes}) == 8
    assert all(int(route[0]) in corners for route in routes)
    for route in routes:
        row, column = np.divmod(route, 4)
        assert (np.abs(np.diff(row)) + np.abs(np.diff(column)) == 1).all()
    assert [abs(int(route[1] - route[0])) for route in routes] == [1, 4] * 4  # by rows, by columns, in turn


def test_schemes_of_the_literature_have_their_routes():
    grid = (4, 6)
    snake, columns = routes_of("snake", grid)[0], routes_of("snake.transposed", grid)[0]
    np.testing.assert_array_equal(routes_of("continuous", grid), [snake, columns, snake[::-1], columns[::-1]])
    rows, vertical = routes_of("horizontal", grid)[0], routes_of("vertical", grid)[0]
    np.testing.assert_array_equal(routes_of("mamba-nd", grid), [rows, rows[::-1], vertical, vertical[::-1]])
    windows = [routes_of(f"window:size={size}", grid)[0] for size in (2, 7)]
    np.testing.assert_array_equal(routes_of("local", grid), [rows, vertical, *windows])
    assert len(routes_of("local:both_ways=true", grid)) == 8
    np.testing.assert_array_equal(routes_of("fractal", grid)[0], routes_of("hilbert", grid)[0])


def test_a_shifted_hilbert_curve_parts_other_neighbours():
    """On 8 x 8 the plain curve parts 28 pairs in the middle; the shifted one keeps most of those close."""
    plain, shifted = (rank_of(routes_of(name, (8, 8))[0]).reshape(8, 8) for name in ("hilbert", "hilbert-shifted"))
    across = [int(np.abs(rank[:, 4].astype(int) - rank[:, 3]).sum()) for rank in (plain, shifted)]
    assert across[1] < across[0] / 2


@given(data=st.data(), name=st.sampled_from(["horizontal", "snake", "hilbert", "spiral", "zigzag"]))
def test_an_irregular_set_of_cells_keeps_the_order_of_the_full_grid(data, name):
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    present = data.draw(st.lists(st.integers(0, height * width - 1), min_size=1, unique=True))
    rows, columns = np.divmod(np.array(present), width)
    cells = np.stack([rows, columns], axis=1)
    order = scan_from(name)[2].orders[0]
    found = order_of_cells(order, cells + 1000)
    assert sorted(found) == list(range(len(present)))
    top, left = cells.min(0)
    bounds = cells.max(0) - (top, left) + 1
    rank = rank_of(order(*map(int, bounds)))
    steps = rank[(cells[found, 0] - top) * bounds[1] + cells[found, 1] - left]
    assert (np.diff(steps) > 0).all()


def test_two_cells_in_one_place_are_refused():
    with pytest.raises(ValueError, match="2 cells in 1 places"):
        order_of_cells(scan_from("hilbert")[2].orders[0], np.array([[3, 4], [3, 4]]))
    assert order_of_cells(scan_from("hilbert")[2].orders[0], np.empty((0, 2), dtype=int)).size == 0


def test_random_orders_differ_by_seed_and_hold_for_one():
    assert not np.array_equal(routes_of("random:seed=0", (8, 8)), routes_of("random:seed=1", (8, 8)))


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: digest(name) for name in scans.names()}, indent=1) + "\n")
