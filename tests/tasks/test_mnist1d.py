"""MNIST-1D: the published draw, whole and unmixed."""

import random
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from harness.contracts.errors import Unsupported
from harness.registry import tasks
from harness.tasks import mnist1d


def test_training_and_test_signals_are_the_packages():
    from mnist1d.data import make_dataset

    published = make_dataset()
    task = tasks.get("mnist1d").create({})
    parts = {split: task.sample(split, 5000, 0) for split in ("train", "validation", "test")}
    sizes = {split: len(samples) for split, samples in parts.items()}
    assert sizes["test"] == 1000 and sizes["train"] + sizes["validation"] == 4000
    assert sizes["validation"] == pytest.approx(400, abs=5)  # a tenth of each class
    chosen = parts["test"].chosen
    assert sorted(chosen.tolist()) == list(range(4000, 5000))
    assert np.array_equal(parts["test"].target, published["y_test"][chosen - 4000])
    tokens = parts["test"].batch(np.arange(1000)).tokens[..., 0]
    spread = published["x_test"][chosen - 4000] - tokens
    assert tokens.shape == (1000, 40) and np.abs(spread).max() < 0.25  # standardized on training signals only
    assert np.corrcoef(tokens.ravel(), published["x_test"][chosen - 4000].ravel())[0, 1] > 0.9999


def test_logistic_regression_scores_what_was_published():
    task = tasks.get("mnist1d").create({})
    train, test = (task.sample(split, 5000, 0) for split in ("train", "test"))
    x, y = (samples.batch(np.arange(len(samples))).tokens[..., 0] for samples in (train, test))
    accuracy = LogisticRegression(max_iter=200).fit(x, train.target).score(y, test.target)
    assert accuracy == pytest.approx(0.32, abs=0.03)  # the README of greydanus/mnist1d


def test_the_global_generators_are_left_alone():
    mnist1d._signals.cache_clear()
    random.seed(1)
    np.random.seed(1)
    mnist1d._signals()
    drawn = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    assert drawn == (random.random(), np.random.random())


def test_without_the_package_the_task_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(mnist1d, "_signals", mnist1d._signals.__wrapped__)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(Unsupported, match="pip install mnist1d"):
        tasks.get("mnist1d").create({})
