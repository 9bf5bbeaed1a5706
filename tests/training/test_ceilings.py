import numpy as np
import pytest

from harness.contracts import Batch, Samples, Task
from harness.registry import tasks
from harness.training.ceilings import Accuracy, ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


class Given(Samples):
    def __init__(self, target, patterns):
        self.target, self.patterns = target, patterns

    def batch(self, indices):
        return Batch(tokens=np.zeros((len(indices), 4, 1), np.float32), target=self.target[indices])


class Coins(Task):
    """Three classes; `leak` is where the class shows: nowhere, in a count, or in a place."""

    grid, features, classes, chance = (1, 4), 1, 3, 1 / 3

    def __init__(self, leak):
        self.leak = leak

    def sample(self, split, count, seed):
        draw = np.random.default_rng(seed)
        target = draw.integers(0, 3, count)
        patterns = draw.integers(3, 9, (count, 4))
        rows = np.arange(count)
        if self.leak == "count":
            patterns[rows, draw.integers(0, 4, count)] = target
        elif self.leak == "place":
            patterns[rows, target] = 0
        elif self.leak == "photographs":
            return Given(target, None)
        return Given(target, patterns)


@pytest.mark.parametrize(
    ("leak", "order_blind", "position_marginal"),
    [("nothing", 1 / 3, 1 / 3), ("count", 1, 1), ("place", 1 / 3, 1)],
)
def test_each_ceiling_finds_its_own_leak_and_no_other(leak, order_blind, position_marginal):
    found = ceilings(Coins(leak), count=8000)
    assert found.order_blind.value == pytest.approx(order_blind, abs=0.03)
    assert found.position_marginal.value == pytest.approx(position_marginal, abs=0.03)
    assert found.oracle is None


def test_tasks_without_patterns_have_no_such_ceilings():
    found = ceilings(Coins("photographs"), count=100)
    assert found.chance == 1 / 3
    assert found.order_blind is None and found.position_marginal is None


@pytest.mark.parametrize(("size", "expected"), [("length=30,near=2,far=20", 0.79), ("length=20,near=2,far=16", 0.93)])
def test_the_papers_placement_leaks_as_much_as_was_measured(size, expected):
    found = ceilings(create(f"locality:placement=paper,{size}"))
    assert found.position_marginal.value == pytest.approx(expected, abs=0.02)
    assert found.order_blind.value == pytest.approx(0.5, abs=0.02)


def test_a_weak_leak_spread_over_every_cell_is_not_shrunk_away():
    class Faint(Coins):
        grid = (1, 100)

        def sample(self, split, count, seed):
            draw = np.random.default_rng(seed)
            target = draw.integers(0, 2, count)
            # Class 1 holds pattern 0 slightly more often in even cells, class 0 in odd ones.
            tilt = 0.05 * np.where((np.arange(100) % 2 == 0) == (target[:, None] == 1), 1, -1)
            return Given(target, (draw.random((count, 100)) > 0.5 + tilt).astype(int))

    # The best score has a mean of +-10 * .1 standard deviations: an accuracy of Phi(1) = .84.
    task = Faint("")
    task.classes = 2
    assert ceilings(task).position_marginal.value == pytest.approx(0.84, abs=0.015)


def test_equal_seeds_give_equal_ceilings():
    assert ceilings(create("locality2d"), count=2000, seed=1) == ceilings(create("locality2d"), count=2000, seed=1)


def test_a_standard_error_is_that_of_a_share_and_never_zero():
    assert Accuracy(value=0.5, count=10_000).standard_error == pytest.approx(0.005, rel=0.01)
    assert Accuracy(value=1.0, count=10_000).standard_error > 0


def test_a_threshold_on_an_additive_score_may_use_spread_though_positions_tell_nothing():
    # The honest limit of the position-marginal ceiling, as harness/ceilings.py says.
    samples = create("locality2d").sample("train", 20_000, 0)
    left = np.arange(64) % 8 < 4
    in_left = (samples.patterns[:, left] == 0).sum(axis=1)
    means = [in_left[samples.target == label].mean() for label in (0, 1)]
    assert means[0] == pytest.approx(2, abs=0.05) and means[1] == pytest.approx(2, abs=0.05)
    accuracy = np.mean((in_left == 0) == (samples.target == 1))
    assert 0.58 < accuracy < 0.75
