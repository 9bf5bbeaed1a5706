"""Multi-query associative recall: what the published generator says of its sequences."""

import numpy as np
import pytest

from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.training.ceilings import ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


SPECS = [
    "associative-recall",
    "associative-recall:length=33,pairs=4,vocabulary=10,alpha=1",
    "associative-recall:length=64,pairs=16",
]


@pytest.mark.parametrize("spec", SPECS)
def test_every_question_is_a_key_that_stood_before_and_asks_for_the_value_behind_it(spec):
    task = create(spec)
    samples = task.sample("train", 300, 0)
    for symbols, target in zip(samples.symbols.tolist(), samples.target.tolist(), strict=True):
        context = 2 * task.pairs
        value_of = dict(zip(symbols[0:context:2], symbols[1:context:2], strict=True))
        assert len(value_of) == len(set(value_of.values())) == task.pairs
        assert max(value_of) < task.classes <= min(value_of.values())
        asked = {cell: answer for cell, answer in enumerate(target) if answer != IGNORE_INDEX}
        assert sorted(symbols[cell] for cell in asked) == sorted(value_of)  # each key once
        for cell, answer in asked.items():
            assert cell >= context and (cell - context) % 2 == 0
            assert value_of[symbols[cell]] == task.classes + answer


@pytest.mark.parametrize("alpha", [0.1, 1.0, 2.0])
def test_a_lone_question_stands_at_a_place_drawn_by_the_power_law(alpha):
    task = create(f"associative-recall:length=22,pairs=1,alpha={alpha}")
    places = (np.argmax(task.sample("train", 40_000, 0).target != IGNORE_INDEX, axis=1) - 2) // 2
    shares = np.bincount(places, minlength=10) / len(places)
    expected = np.arange(1, 11) ** (alpha - 1) / (np.arange(1, 11) ** (alpha - 1)).sum()
    assert (np.abs(shares - expected) < 5 * np.sqrt(expected / len(places))).all()


def test_several_questions_stand_where_drawing_without_replacement_puts_them():
    task = create("associative-recall:length=20,pairs=3")
    samples = task.sample("train", 20_000, 0)
    weights = np.arange(1, 8) ** -0.9
    draw = np.random.default_rng(1)
    drawn = [draw.choice(7, size=3, replace=False, p=weights / weights.sum()) for _ in range(20_000)]
    expected = np.stack([np.bincount([row[pair] for row in drawn], minlength=7) for pair in range(3)]) / 20_000
    for pair in range(3):
        same = samples.symbols[:, 6:] == samples.symbols[:, [2 * pair]]
        places = np.argmax(same & (samples.target[:, 6:] != IGNORE_INDEX), axis=1) // 2
        assert np.abs(np.bincount(places, minlength=7) / 20_000 - expected[pair]).max() < 0.02


def test_what_is_not_asked_is_filled_with_any_symbol():
    task = create("associative-recall:vocabulary=16")
    samples = task.sample("train", 2000, 0)
    filled = samples.symbols[:, 16:][samples.target[:, 16:] == IGNORE_INDEX]
    shares = np.bincount(filled, minlength=16) / len(filled)
    assert (np.abs(shares - 1 / 16) < 5 * np.sqrt(1 / 16 / len(filled))).all()


def test_the_worked_example_of_the_card_is_one_of_its_sequences():
    task = create("associative-recall:length=8,pairs=2,vocabulary=8")
    symbols, target = np.array([2, 5, 1, 7, 1, 6, 2, 0]), np.array([-1, -1, -1, -1, 3, -1, 1, -1])
    samples = task.sample("train", 200_000, 0)
    places = (samples.target >= 0) == (target >= 0)
    alike = places.all(1) & (samples.symbols == symbols).all(1)
    assert alike.any() and (samples.target[alike] == target).all()


@pytest.mark.parametrize("spec", SPECS)
def test_the_oracle_is_always_right_and_counts_are_no_ceiling(spec):
    found = ceilings(create(spec), count=1000)
    assert found.oracle.value == 1 and found.order_blind is None and found.position_marginal is None


def test_symbols_look_the_same_in_every_run_and_are_told_apart():
    for spec in ("associative-recall", "associative-recall:vocabulary=32"):
        vectors = create(spec).vectors
        assert np.array_equal(vectors, create(spec).vectors)
        products = vectors @ vectors.T
        assert np.allclose(np.diag(products), 1) and np.abs(products - np.diag(np.diag(products))).max() < 0.6


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("associative-recall:vocabulary=33", "got vocabulary=33; give an even number"),
        ("associative-recall:pairs=17", "got length=64; take length=68"),
        ("associative-recall:vocabulary=8", "got vocabulary=8; take vocabulary=16"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create(spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("task associative-recall: ")
