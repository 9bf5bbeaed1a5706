from itertools import combinations

import numpy as np
import pytest

from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.tasks._coverage import coverages, elementary
from harness.tasks._dispersion import dispersion
from harness.training.ceilings import ceilings

SMALL = [((4, 4), 2, 2), ((4, 4), 2, 3), ((4, 5), 3, 2), ((3, 7), 3, 2), ((3, 3), 1, 1)]
SIZES = ["height=4,width=4", "height=4,width=12", "height=8,width=8", "height=9,width=6", "height=16,width=16"]


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


def enumerate_sets(scheme):
    """Every (S, D) that can be drawn, with its probability before redrawing: the scheme spelled out."""
    cells = np.prod(scheme.grid)
    dispersed = [(set(d), np.prod(scheme.weights[list(d)])) for d in combinations(range(cells), scheme.count)]
    for window in scheme.windows:
        for concentrated in combinations(window.tolist(), scheme.count):
            for other, probability in dispersed:
                if not other.intersection(concentrated):
                    yield list(concentrated), sorted(other), probability


@pytest.mark.parametrize(("grid", "neighbourhood", "count"), SMALL)
def test_both_sets_cover_every_cell_equally_often(grid, neighbourhood, count):
    scheme = dispersion(grid, neighbourhood, count)
    in_concentrated, in_dispersed, total = np.zeros(grid[0] * grid[1]), np.zeros(grid[0] * grid[1]), 0.0
    for concentrated, dispersed, probability in enumerate_sets(scheme):
        in_concentrated[concentrated] += probability
        in_dispersed[dispersed] += probability
        total += probability
    assert np.abs(in_concentrated - in_dispersed).max() / total < 1e-9
    assert np.abs(in_concentrated / total - scheme.coverage).max() < 1e-9


@pytest.mark.parametrize("grid", [(8, 8), (9, 6), (16, 16), (64, 64)])
def test_coverages_agree_on_larger_grids(grid):
    scheme = dispersion(grid, 3, 4)
    concentrated, dispersed, accepted = coverages(scheme.windows, scheme.weights, 4)
    assert np.abs(concentrated - dispersed).max() < 1e-11
    assert concentrated.sum() == pytest.approx(4) and dispersed.sum() == pytest.approx(4)
    assert 0 < accepted <= 1


def test_uniform_weights_would_not_be_matched():
    # The reweighting earns its place: the plain "a window, then a cell in it" leaks once sets are drawn anew.
    windows = dispersion((6, 6), 3, 4).windows
    plain = np.bincount(windows.ravel()) / windows.size
    concentrated, dispersed, _ = coverages(windows, plain, 4)
    assert np.abs(concentrated - dispersed).max() > 0.01


def test_elementary_symmetric_polynomials_are_those_of_the_definition():
    values = np.random.default_rng(0).random((3, 7))
    expected = [[sum(np.prod(c) for c in combinations(row, j)) for j in range(5)] for row in values]
    assert np.allclose(elementary(values, 4), expected)


def test_the_draw_follows_the_solved_coverage_and_share():
    scheme, count = dispersion((8, 8), 3, 4), 60_000
    sets = scheme.draw(count, np.random.default_rng(0))
    sigma = np.sqrt(scheme.coverage * (1 - scheme.coverage) / count)
    for cells in sets:
        share = np.bincount(cells.ravel(), minlength=64) / count
        assert (np.abs(share - scheme.coverage) < 5 * sigma).all()
    rows, columns = np.divmod(sets[0], 8)
    assert (np.ptp(rows, axis=1) < 3).all() and (np.ptp(columns, axis=1) < 3).all()


def test_log_likelihood_is_the_law_of_the_draw():
    scheme = dispersion((3, 4), 2, 2)
    law: dict[tuple, float] = {}
    for concentrated, dispersed, probability in enumerate_sets(scheme):
        key = (*sorted(concentrated), *dispersed)
        law[key] = law.get(key, 0) + probability
    cells = np.array(list(law))
    given = np.exp(scheme.log_likelihood(cells[:, :2], cells[:, 2:]))
    assert np.allclose(given, list(law.values()))
    assert scheme.log_likelihood(np.array([[0, 11]]), np.array([[1, 2]]))[0] == -np.inf


@pytest.mark.parametrize("spec", ["", ":height=4,width=4", ":height=5,width=16"])
def test_ten_thousand_images_hold_equal_counts_of_both_textures(spec):
    task = create("locality2d" + spec)
    samples = task.sample("train", 10_000, 0)
    for pattern in (0, 1):
        assert ((samples.patterns == pattern).sum(axis=1) == task.dispersion.count).all()


@pytest.mark.parametrize("spec", SIZES)
def test_neither_counts_nor_positions_tell_the_classes_apart(spec):
    found = ceilings(create("locality2d:" + spec))
    assert abs(found.order_blind.value - 0.5) < 0.02
    assert abs(found.position_marginal.value - 0.5) < 0.02
    assert found.oracle.value > 0.95


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 64), (5, 7), (32, 32), (64, 64)])
def test_all_sizes_work_with_the_other_defaults(height, width):
    samples = create(f"locality2d:height={height},width={width}").sample("train", 4, 0)
    assert samples.batch(np.arange(2)).tokens.shape == (2, height * width, 16)


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("height=4,neighbourhood=5", "neighbourhood must fit"),
        ("neighbourhood=2,count=5", "count must be at most"),
        ("height=4,width=4,neighbourhood=4,count=9", "must find room"),
        ("height=2,width=2", "must find room"),
        ("patch=1", "a patch needs"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create("locality2d:" + spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("task locality2d: ")
