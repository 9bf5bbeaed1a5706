"""Parity, modular arithmetic, word problems and induction heads: what their published generators say of sequences."""

import itertools
import re

import numpy as np
import pytest

from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.tasks.modular_arithmetic import value_of
from harness.tasks.word_problem import products_of
from harness.training.ceilings import ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


ANSWERED = ("parity", "modular-arithmetic", "modular-arithmetic:brackets=true")
ALL = (*ANSWERED, "word-problem:group=A5", "induction-heads", "parity:digits=3", "modular-arithmetic:modulus=7")


def sequences_of(task, samples):
    """The real ids of each sequence, and its answer at the last of them."""
    for symbols, target, steps in zip(samples.symbols, samples.target, samples.steps, strict=True):
        assert np.array_equal(np.flatnonzero(target != IGNORE_INDEX), [steps - 1])
        yield symbols[:steps].tolist(), int(target[steps - 1])


@pytest.mark.parametrize("spec", ANSWERED)
@pytest.mark.parametrize(("length", "shortest"), [(40, 3), (256, 40)])
def test_there_are_3_to_40_tokens_in_training_and_40_to_256_in_a_test_at_256(spec, length, shortest):
    task = create(spec) if length == 40 else create(spec).at_length(length)
    steps = task.sample("test", 1500, 0).steps
    # With "=" the answer and, with brackets, a padding token stand behind the input.
    behind = 2 if "brackets" in spec else 1
    least = 5 if "brackets" in spec and shortest == 3 else shortest
    assert steps.max() + behind <= length < steps.max() + behind + 8
    assert least - 1 <= steps.min() + behind <= least + 8
    assert task.at_length(12).sample("test", 20, 0).steps.max() <= 12


def test_parity_is_whether_the_number_of_ones_is_odd():
    task = create("parity")
    for ids, answer in sequences_of(task, task.sample("train", 400, 0)):
        assert set(ids) <= {1, 2} and answer == 1 + ids.count(2) % 2
    assert set(create("parity:digits=4").sample("train", 50, 0).symbols.ravel()) == {0, 1, 2, 3, 4}


def test_lengths_of_parity_are_all_as_likely():
    steps = create("parity").sample("train", 20_000, 0).steps
    shares = np.bincount(steps, minlength=40)[2:40] / 20_000
    assert (np.abs(shares - 1 / 38) < 5 * np.sqrt(1 / 38 / 20_000)).all()


@pytest.mark.parametrize(
    "spec", ["modular-arithmetic", "modular-arithmetic:brackets=true", "modular-arithmetic:modulus=7"]
)
def test_the_value_is_the_expressions_as_python_reads_it(spec):
    task = create(spec)
    for ids, answer in sequences_of(task, task.sample("train", 400, 0)):
        text = task.text_of(np.array(ids))
        assert ids[-1] == task.id_of["="] and ids.count(ids[-1]) == 1
        assert re.fullmatch(r"[-+*()0-9]+", text)
        assert answer == eval(text) % task.modulus


def test_flat_expressions_alternate_numbers_and_signs_and_nested_ones_have_no_products():
    flat, nested = create("modular-arithmetic"), create("modular-arithmetic:brackets=true")
    for ids, _ in sequences_of(flat, flat.sample("train", 200, 0)):
        assert re.fullmatch(r"\d([-+*]\d)*", flat.text_of(np.array(ids)))
    texts = [nested.text_of(np.array(ids)) for ids, _ in sequences_of(nested, nested.sample("train", 400, 0))]
    assert not any("*" in text for text in texts) and max(text.count("(") for text in texts) > 4
    short = {re.sub(r"\d", "n", text) for text in texts if len(text) < 5}
    assert short <= {"n", "-n", "(n)", "(-n)"} and len(short) > 1


def test_sides_of_a_nested_expression_are_cut_anywhere():
    nested = create("modular-arithmetic:brackets=true,shortest=10,length=10")  # 7 tokens: 1 + 3, 2 + 2 or 3 + 1
    shapes = {re.sub(r"\d", "n", text) for text in map(nested.text_of, nested.sample("train", 500, 0).symbols)}
    assert {"(n+(n))", "(-n--n)", "((n)-n)"} <= shapes and all(len(shape) == 7 for shape in shapes)


@pytest.mark.parametrize("text", ["2-3*4", "4--0", "(1+-1)-2", "((2)-(-3))*4", "0", "-3+1"])
def test_the_oracles_evaluator_is_pythons(text):
    task = create("modular-arithmetic:brackets=true")
    assert value_of([task.id_of[sign] if sign in task.id_of else int(sign) for sign in text + "="], 5, task.id_of) == (
        eval(text) % 5
    )


def test_the_worked_examples_of_the_cards():
    task = create("modular-arithmetic")
    assert value_of([2, 6, 3, 7, 4, 8], 5, task.id_of) == 0 and create("modular-arithmetic:length=9").cells == 8
    assert create("parity:length=6").cells == 5
    products, found = products_of("S3"), [0]
    for element in (1, 1, 2, 3):
        found.append(int(products[found[-1], element]))
    assert found[1:] == [1, 0, 2, 5]
    assert create("induction-heads:length=8,vocabulary=5").special == 4


@pytest.mark.parametrize(
    ("group", "size", "commutes"), [("S3", 6, False), ("A5", 60, False), ("S5", 120, False), ("Z60", 60, True)]
)
def test_a_table_of_products_is_a_group(group, size, commutes):
    table = products_of(group)
    assert table.shape == (size, size) and np.array_equal(table[0], np.arange(size))
    assert all(np.array_equal(np.sort(table, axis=axis), np.indices((size, size))[axis]) for axis in (0, 1))
    x, y, z = np.random.default_rng(0).integers(0, size, size=(3, 500))
    assert np.array_equal(table[table[x, y], z], table[x, table[y, z]])
    assert np.array_equal(table, table.T) == commutes


def test_a5_has_the_conjugacy_classes_of_the_icosahedron():
    table = products_of("A5")
    orders = []
    for element in range(60):
        power, order = element, 1
        while power:
            power, order = table[power, element], order + 1
        orders.append(order)
    assert {order: orders.count(order) for order in set(orders)} == {1: 1, 2: 15, 3: 20, 5: 24}


def test_a_word_is_multiplied_from_the_left_permutation_by_permutation():
    task, elements = create("word-problem:group=S3,length=6"), list(itertools.permutations(range(3)))
    samples = task.sample("train", 100, 0)
    for symbols, target in zip(samples.symbols, samples.target, strict=True):
        state = (0, 1, 2)
        for symbol, named in zip(symbols, target, strict=True):
            state = tuple(elements[symbol][image] for image in state)
            assert elements[named] == state


def test_the_special_token_stands_twice_and_asks_for_what_followed_it():
    task = create("induction-heads")
    samples = task.sample("train", 2000, 0)
    first = (samples.symbols == task.special).argmax(axis=1)
    assert ((samples.symbols == task.special).sum(axis=1) == 2).all() and (samples.symbols[:, -1] == task.special).all()
    assert (samples.target[:, :-1] == IGNORE_INDEX).all()
    assert np.array_equal(samples.target[:, -1], samples.symbols[np.arange(2000), first + 1])
    assert first.min() == 0 and first.max() == 253 and abs(first.mean() - 126.5) < 8
    assert task.at_length(4096).sample("test", 3, 0).symbols.shape == (3, 4096)


@pytest.mark.parametrize("spec", ALL)
def test_the_oracle_is_always_right_and_a_constant_guess_is_at_chance(spec):
    task = create(spec)
    assert ceilings(task, count=1000).oracle.value == 1
    answers = task.sample("test", 6000, 1).target
    shares = np.bincount(answers[answers != IGNORE_INDEX], minlength=task.classes) / (answers != IGNORE_INDEX).sum()
    if "brackets" not in spec and "modular" not in spec:
        assert shares.max() == pytest.approx(task.chance, abs=0.02)


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("parity:length=5,shortest=6", "got length=5; take 6 or more"),
        ("modular-arithmetic:length=9,shortest=12", "got length=9; take 12 or more"),
    ],
)
def test_lengths_in_the_wrong_order_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create(spec)
    assert "\n" not in str(caught.value)
