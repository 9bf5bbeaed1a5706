"""Selective copying: data among noise, then their copies in order."""

import numpy as np
import pytest

from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.training.ceilings import ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


SPECS = ["selective-copy", "selective-copy:length=9,tokens=3,vocabulary=6", "selective-copy:length=32,tokens=16,dim=5"]


@pytest.mark.parametrize("spec", SPECS)
def test_the_answers_are_the_data_in_order(spec):
    task = create(spec)
    samples = task.sample("train", 300, 0)
    for symbols, target in zip(samples.symbols.tolist(), samples.target.tolist(), strict=True):
        before, answers = symbols[: -task.tokens], target[-task.tokens :]
        assert answers == [symbol - 1 for symbol in before if symbol != 0]
        assert set(symbols[-task.tokens :]) == {task.marker} and task.marker not in before
        assert set(target[: -task.tokens]) <= {IGNORE_INDEX} and IGNORE_INDEX not in answers


def test_data_stand_anywhere_before_the_answers_and_are_any_data_symbol():
    task = create("selective-copy")
    symbols = task.sample("train", 4000, 0).symbols[:, :56]
    share = (symbols != 0).mean(axis=0)
    assert (np.abs(share - 8 / 56) < 5 * np.sqrt(8 / 56 / 4000)).all()
    frequencies = np.bincount(symbols[symbols != 0], minlength=15)[1:] / (symbols != 0).sum()
    assert (np.abs(frequencies - 1 / 14) < 5 * np.sqrt(1 / 14 / (symbols != 0).sum())).all()


def test_distances_between_data_vary():
    symbols = create("selective-copy").sample("train", 500, 0).symbols
    gaps = np.diff(np.flatnonzero((symbols != 0).ravel()))
    assert len(np.unique(gaps)) > 15


@pytest.mark.parametrize("spec", SPECS)
def test_the_oracle_is_always_right(spec):
    assert ceilings(create(spec), count=1000).oracle.value == 1


def test_what_does_not_fit_is_refused_in_one_line():
    with pytest.raises(UserError, match="task selective-copy: .*got length=64; take length=66 or more"):
        create("selective-copy:tokens=33")
