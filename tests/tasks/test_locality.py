import numpy as np
import pytest

from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.tasks._placement import matched_placement, uniform_placement
from harness.training.ceilings import ceilings

SIZES = [(30, 2, 20), (20, 2, 16), (20, 6, 12), (12, 2, 8), (16, 1, 5), (40, 3, 7), (10, 3, 5)]


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


def coverage(placement):
    """Probability that each cell is in the near and in the far pair, by enumerating all placements."""
    near, far = np.zeros(placement.length), np.zeros(placement.length)
    for (i, j), probability in np.ndenumerate(placement.joint()):
        cells = {i, i + placement.near, j, j + placement.far}
        if probability:
            assert len(cells) == 4 and max(cells) < placement.length
        near[[i, i + placement.near]] += probability
        far[[j, j + placement.far]] += probability
    return near, far


@pytest.mark.parametrize("size", SIZES)
def test_matched_pairs_cover_every_cell_equally_often(size):
    near, far = coverage(matched_placement(*size))
    assert near.sum() == pytest.approx(2)
    assert np.abs(near - far).max() < 1e-9


def test_naive_pairs_do_not():
    near, far = coverage(uniform_placement(30, 2, 20))
    assert np.abs(near - far).max() > 0.05


@pytest.mark.parametrize(
    "placement", [matched_placement(20, 6, 12), uniform_placement(9, 2, 5)], ids=["matched", "paper"]
)
def test_the_draw_follows_its_joint_law(placement):
    count = 40_000
    near, far = placement.draw(count, np.random.default_rng(0))
    joint = placement.joint()
    drawn = np.zeros(joint.shape)
    np.add.at(drawn, (near[:, 0], far[:, 0]), 1)
    assert (drawn[joint == 0] == 0).all()
    sigma = np.sqrt(count * joint * (1 - joint))
    assert (np.abs(drawn - count * joint) <= 5 * sigma + 1e-9).all()
    assert (np.diff(near, axis=1) == placement.near).all() and (np.diff(far, axis=1) == placement.far).all()


@pytest.mark.parametrize("placement", ["matched", "paper"])
def test_both_classes_hold_two_of_each_pattern_at_the_right_distances(placement):
    samples = create(f"locality:placement={placement}").sample("train", 10_000, 0)
    gaps = []
    for pattern in (0, 1):
        assert ((samples.patterns == pattern).sum(axis=1) == 2).all()
        cells = np.nonzero(samples.patterns == pattern)[1].reshape(-1, 2)
        gaps.append(cells[:, 1] - cells[:, 0])
    assert (gaps[0] == np.where(samples.target == 1, 2, 20)).all()
    assert (gaps[1] == np.where(samples.target == 1, 20, 2)).all()


def test_without_replacement_no_irrelevant_pattern_repeats():
    patterns = create("locality:replacement=false").sample("train", 500, 0).patterns
    for row in patterns:
        irrelevant = row[row > 1]
        assert len(np.unique(irrelevant)) == len(irrelevant) == 26


@pytest.mark.parametrize(
    "spec", ["length=30", "length=20,far=16", "length=12,far=8", "length=64,near=4,far=40", "replacement=false"]
)
def test_neither_counts_nor_positions_tell_matched_classes_apart(spec):
    task = create("locality:" + spec)
    found = ceilings(task)
    assert task.tests_locality
    assert abs(found.order_blind.value - 0.5) < 0.02
    assert abs(found.position_marginal.value - 0.5) < 0.02
    assert found.oracle.value == 1


def test_paper_placement_claims_nothing():
    assert not create("locality:placement=paper").tests_locality


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("near=5,far=5", "near must be less than far"),
        ("length=20,far=20", "far must be less than length"),
        ("length=10,near=4,far=6", "placement=matched needs room"),
        ("length=9,near=1,far=5", "placement=matched needs room"),
        ("length=40,replacement=false", "replacement=false needs"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create("locality:" + spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("task locality: ")
