import numpy as np
import pytest

from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.training.ceilings import ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


@pytest.mark.parametrize(
    ("spec", "more", "fewer"),
    [
        ("majority:length=30,relevant=0.4,confusing=0.1", 12, 3),
        ("majority:length=10,relevant=0.25,confusing=0.15", 3, 2),  # halves are rounded up
        ("majority:length=7,relevant=0.6,confusing=0.4,replacement=false", 4, 3),  # no irrelevant token at all
        ("majority2d", 16, 8),
        ("majority2d:height=4,width=4", 4, 2),
    ],
)
def test_the_label_is_the_majority_and_counts_are_the_rounded_fractions(spec, more, fewer):
    samples = create(spec).sample("train", 10_000, 0)
    plus, minus = ((samples.patterns == pattern).sum(axis=1) for pattern in (0, 1))
    assert (plus == np.where(samples.target == 1, more, fewer)).all()
    assert (minus == np.where(samples.target == 1, fewer, more)).all()


@pytest.mark.parametrize("spec", ["majority", "majority2d"])
def test_every_cell_holds_every_pattern_as_often_as_any_other_cell(spec):
    patterns = create(spec).sample("train", 20_000, 0).patterns
    for pattern in (0, 1, 2):
        share = (patterns == pattern).mean(axis=0)
        assert (np.abs(share - share.mean()) < 5 * np.sqrt(share.mean() / len(patterns))).all()


@pytest.mark.parametrize("spec", ["majority", "majority2d"])
def test_counts_alone_solve_it(spec):
    found = ceilings(create(spec), count=4000)
    assert found.order_blind.value == found.oracle.value == 1


def test_tokens_are_basis_vectors_plus_noise_of_the_given_scale():
    task = create("majority:noise=0.1")
    samples = task.sample("train", 300, 0)
    tokens = samples.batch(np.arange(300)).tokens
    noise = tokens - np.eye(32)[samples.patterns]
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert np.array_equal(tokens.argmax(axis=2), samples.patterns)


def test_more_than_256_patterns_keep_their_names():
    patterns = create("majority:dim=1000,length=50").sample("train", 500, 0).patterns
    assert patterns.dtype == np.uint16 and 990 < patterns.max() < 1000


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("majority:relevant=0.2,confusing=0.2", "confusing tokens must be fewer"),
        ("majority:length=10,relevant=0.33,confusing=0.28", "confusing tokens must be fewer"),
        ("majority:relevant=0.8,confusing=0.3", "must fit into length=30"),
        ("majority:length=70,replacement=false", "replacement=false needs"),
        ("majority2d:relevant=0.1,confusing=0.5", "confusing tokens must be fewer"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create(spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("task majority")
