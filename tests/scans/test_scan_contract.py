"""What every registered scan owes the harness; the entry's name is the test's id."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Unsupported
from harness.registry import scans
from harness.routing import MODIFIERS, check_routes, rank_of, scan_from

GOLDEN = Path(__file__).with_name("golden.json")
SQUARES = {"moore": (8, 8), "peano": (9, 9)}  # orders that fit special squares only
SMALL_GRIDS = [(8, 8), (9, 9), (5, 7)]

each_scan = pytest.mark.parametrize("name", scans.names())


def routes_of(text, grid):
    return scan_from(text)[2].routes(grid)


def digest(text: str) -> dict[str, object]:
    """The version of a scan and a hash of its routes on every small grid that it fits."""
    _, version, scan = scan_from(text)
    found: dict[str, object] = {"version": version}
    for grid in SMALL_GRIDS:
        try:
            routes = scan.routes(grid)
        except Unsupported:
            continue
        found[f"{grid[0]}x{grid[1]}"] = hashlib.sha256(routes.astype("<i8").tobytes()).hexdigest()[:16]
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
def test_the_same_grid_gives_the_same_routes_again(name):
    grid = SQUARES.get(name, (5, 7))
    np.testing.assert_array_equal(routes_of(name, grid), routes_of(name, grid))


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


def test_random_orders_differ_by_seed_and_hold_for_one():
    assert not np.array_equal(routes_of("random:seed=0", (8, 8)), routes_of("random:seed=1", (8, 8)))


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: digest(name) for name in scans.names()}, indent=1) + "\n")
