"""What every registered task owes the harness, whoever wrote it."""

import numpy as np
import pytest

from harness.contracts import IGNORE_INDEX
from harness.registry import tasks
from harness.registry.plugin_checks import check_entry
from harness.training.ceilings import ceilings

SPLITS = ("train", "validation", "test")


def tokens_of(task, batch):
    """Tokens [batch, longest, features]: a batch of irregular sequences is as long as its longest one."""
    return np.pad(batch.tokens, ((0, 0), (0, task.longest - batch.tokens.shape[1]), (0, 0)))


entries = pytest.mark.parametrize("entry", list(tasks), ids=lambda entry: entry.name)


@entries
def test_what_check_asks_of_anybodys_holds(entry, given):
    found = list(check_entry(entry, entry.resolve(given(entry))))
    assert [finding for finding in found if finding.problem or finding.skipped] == []


@entries
def test_every_sample_asks_something_and_its_patterns_fit_its_cells(entry, default):
    task = default(entry)
    samples = task.sample("train", 12, 3)
    assert len(samples) == 12
    assert samples.lengths is None or samples.lengths.max() <= task.longest
    assert (samples.target != IGNORE_INDEX).reshape(12, -1).any(axis=1).all()
    if samples.patterns is not None:
        assert samples.patterns.shape == (12, task.cells) or task.irregular and len(samples.patterns) == 12
        assert np.issubdtype(samples.patterns.dtype, np.integer)


@entries
def test_irregular_sequences_say_where_their_cells_lie_real_ones_first(entry, default):
    task = default(entry)
    samples = task.sample("train", 12, 3)
    batch = samples.batch(np.arange(12))
    assert (batch.coords is not None) == (samples.lengths is not None) == task.irregular
    if not task.irregular:
        return
    assert batch.coords.shape == (*batch.tokens.shape[:2], 2) and np.issubdtype(batch.coords.dtype, np.integer)
    assert np.array_equal(batch.mask, np.arange(batch.tokens.shape[1]) < samples.lengths[:, None])
    for places, length in zip(batch.coords, samples.lengths, strict=True):
        assert len(np.unique(places[:length], axis=0)) == length
        assert (np.lexsort((places[:length, 1], places[:length, 0])) == np.arange(length)).all()  # row by row


@entries
def test_another_seed_gives_other_samples(entry, default):
    task = default(entry)
    one, other = (tokens_of(task, task.sample("train", 20, seed).batch(np.arange(20))) for seed in (3, 4))
    assert not np.array_equal(one, other)


@entries
def test_a_larger_draw_begins_with_the_smaller_one(entry, default):
    task = default(entry)
    smaller, larger = (task.sample("train", count, 3).batch(np.arange(40)) for count in (40, 1500))
    assert np.array_equal(larger.tokens, smaller.tokens) and np.array_equal(larger.target, smaller.target)


@entries
def test_classes_are_balanced_in_random_order(entry, default):
    task = default(entry)
    if len(task.sample("train", 100_000, 3)) < 100_000:
        pytest.skip("a finite task has the classes that its images have")
    if not task.balanced:
        pytest.skip("its classes need not be balanced")
    if task.per_token_targets:
        asked = task.sample("train", 3000, 3).target
        frequencies = np.bincount(asked[asked != IGNORE_INDEX], minlength=task.classes) / (asked != IGNORE_INDEX).sum()
        error = np.sqrt(1 / task.classes / (asked != IGNORE_INDEX).sum())
        assert (np.abs(frequencies - 1 / task.classes) < 5 * error).all()
        return
    for count in (40, 3000):
        target = task.sample("train", count, 3).target
        frequencies = np.bincount(target, minlength=task.classes)
        assert (np.abs(frequencies - count / task.classes) < 1).all()
    repeats = np.mean(target[1:] == target[:-1])
    assert 0.05 < repeats < 0.95


@entries
def test_a_finite_task_keeps_the_proportions_of_its_classes_in_any_smaller_draw(entry, default):
    task = default(entry)
    for split in SPLITS:
        samples = task.sample(split, 100_000, 3)
        if len(samples) == 100_000:
            pytest.skip("an endless task")
        whole = samples.target
        some = task.sample(split, len(whole) // 2, 3).target
        assert len(some) == len(whole) // 2
        shares = np.bincount(whole, minlength=task.classes) / 2
        assert (np.abs(np.bincount(some, minlength=task.classes) - shares) <= 1.5).all()


@entries
def test_a_finite_split_holds_each_image_once_and_validation_and_test_do_not_depend_on_the_seed(entry, default):
    task = default(entry)
    for split in SPLITS:
        samples = task.sample(split, 2000, 3)
        if len(samples) == 2000:
            pytest.skip("an endless task")
        tokens = tokens_of(task, samples.batch(np.arange(len(samples)))).reshape(len(samples), -1)
        assert len(np.unique(tokens, axis=0)) >= 0.98 * len(samples)  # a data set may hold twins
        if split != "train":
            some = task.sample(split, 9, 4).batch(np.arange(9)).tokens
            assert np.array_equal(some, samples.batch(np.arange(9)).tokens)


@entries
def test_chance_is_the_share_of_the_largest_class_tested_on(entry, default):
    task = default(entry)
    target = task.sample("test", 3000, 3).target
    target = target[target != IGNORE_INDEX]
    assert np.bincount(target).max() / len(target) == pytest.approx(task.chance, abs=0.02)


@entries
def test_noise_is_new_in_every_sample(entry, default):
    task = default(entry)
    samples = task.sample("train", 200, 3)
    if samples.patterns is None:
        pytest.skip("a task without patterns need not have noise")
    tokens = samples.batch(np.arange(200)).tokens
    assert len(np.unique(tokens[:, 0, 0])) == 200


@entries
def test_the_ceilings_hold_what_the_task_claims(entry, default):
    task = default(entry)
    found = ceilings(task)
    for accuracy in (found.order_blind, found.position_marginal, found.oracle):
        assert accuracy is None or 0 <= accuracy.value <= 1
    if task.tests_locality:
        for accuracy in (found.order_blind, found.position_marginal):
            assert accuracy is not None
            # Irregular sequences are drawn one by one, and so fewer.
            allowed = max(0.02, 3 * accuracy.standard_error) if task.irregular else 0.02
            assert abs(accuracy.value - task.chance) < allowed
        assert found.oracle is not None and found.oracle.value > 0.95
