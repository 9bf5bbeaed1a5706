import sys

import numpy as np
import pytest
from scipy import stats

from harness.analysis.summary import rows_of
from harness.analysis.tables import RESAMPLED_CAPTION, caption_of
from harness.contracts.errors import Unsupported, UserError
from harness.registry.cells import Run, cell_from, parse_task
from harness.registry.study import TUNING_SEEDS
from harness.training.data import Data
from harness.training.execute import execute

SPECS = ["faces", "digits"]
spec = pytest.mark.parametrize("spec", SPECS)


@spec
def test_five_seeds_test_on_every_image_once(spec):
    task = parse_task(spec)
    for repeat in (0, 1):
        tested = [task.for_run(5 * repeat + number).parts["test"] for number in range(5)]
        assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(len(task.stored.labels)))


@spec
def test_train_validation_and_test_share_no_image_and_leave_none_out(spec):
    for seed in (0, 3, 7):
        parts = parse_task(spec).for_run(seed).parts
        every = np.concatenate([parts[split] for split in ("train", "validation", "test")])
        assert np.array_equal(np.sort(every), np.arange(len(parse_task(spec).stored.labels)))


@spec
def test_folds_are_stratified(spec):
    task = parse_task(spec)
    whole = np.bincount(task.stored.labels)
    for seed in range(5):
        for split, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
            counts = np.bincount(task.stored.labels[task.for_run(seed).parts[split]], minlength=task.classes)
            assert np.abs(counts - share * whole).max() <= 1.5


@spec
def test_later_seeds_and_tuning_seeds_have_partitions_of_their_own(spec):
    task = parse_task(spec)
    first, later, tuning = (task.for_run(seed).parts["test"] for seed in (0, 5, TUNING_SEEDS[0]))
    assert not np.array_equal(first, later) and not np.array_equal(first, tuning)
    folds = [set(task.for_run(seed).parts["test"]) for seed in TUNING_SEEDS]
    assert not folds[0] & folds[1]


@spec
def test_the_data_of_a_run_are_those_of_its_fold(spec):
    task = parse_task(spec)
    data = Data(task, spec=spec, seed=3)
    samples = data.samples("test", 100_000)
    assert np.array_equal(np.sort(samples.chosen), np.sort(task.for_run(3).parts["test"]))
    assert set(data.samples("train", 100_000).chosen) == set(task.for_run(3).parts["train"])


def test_few_training_images_are_passed_over_in_new_orders():
    data = Data(parse_task("faces"), spec="faces", seed=0)
    batches = [next(parts) for parts in data.train_parts(count=32_000, batch_size=70, steps=4)]
    passes = [np.concatenate([b[0].reshape(70, -1).numpy() for b in batches[i : i + 2]]) for i in (0, 2)]
    assert not np.array_equal(*passes)
    assert np.array_equal(*(np.unique(each, axis=0) for each in passes))


def test_resampled_is_test_images_over_training_images():
    assert parse_task("faces").test_train_ratio == pytest.approx(40 / 140)
    assert parse_task("digits").test_train_ratio == pytest.approx(360 / 1257, abs=0.002)
    assert parse_task("textures").test_train_ratio == parse_task("locality2d").test_train_ratio == 0


def test_pixels_are_standardized_with_the_training_images_of_the_fold():
    task = parse_task("faces:patch=5").for_run(2)
    samples = task.sample("train", 1000, 0)
    images = samples.images(np.arange(len(samples)))
    assert images.mean() == pytest.approx(0, abs=1e-4) and images.std() == pytest.approx(1, abs=1e-4)


def test_patches_that_do_not_cover_an_image_leave_its_edge_out():
    for patch, grid in ((3, (8, 8)), (5, (5, 5)), (4, (6, 6)), (7, (3, 3))):
        task = parse_task(f"faces:patch={patch}")
        assert task.grid == grid
        samples = task.sample("test", 2, 0)
        whole = (task.stored.read(samples.chosen) - samples.center) / samples.spread
        edge = 25 % patch // 2
        inner = whole[:, :, edge : edge + patch * grid[0], edge : edge + patch * grid[1]]
        assert np.array_equal(samples.images(np.arange(2)), inner)


def test_faces_and_digits_are_labelled_as_their_sources_say():
    from skimage.data import lfw_subset
    from sklearn.datasets import load_digits

    samples = parse_task("faces").sample("train", 1000, 0)
    assert np.array_equal(samples.target, (samples.chosen < 100).astype(int))
    assert np.allclose(samples.stored.read(np.arange(200))[:, 0], lfw_subset())
    digits = parse_task("digits").stored
    assert np.array_equal(digits.labels, load_digits().target)
    assert np.allclose(digits.read(np.arange(50))[:, 0] * 16, load_digits().images[:50])


def test_without_scikit_learn_digits_are_unsupported_with_a_cure(monkeypatch, tiny_protocol):
    from harness.tasks import digits

    monkeypatch.setattr(digits, "_images", digits._images.__wrapped__)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(Unsupported, match="pip install scikit-learn"):
        parse_task("digits")
    cell = cell_from("digits", "mean-pool", "horizontal", tiny_protocol)
    cell.check()
    record = execute(Run(cell=cell, seed=0))
    assert record["status"] == "unsupported" and "scikit-learn" in record["reason"]


@pytest.mark.parametrize("spec", ["faces", "digits:patch=2", "textures:height=4,width=4", "histology"])
def test_a_run_trains_and_its_record_says_how_far_test_sets_are_resampled(spec, tiny_protocol):
    record = execute(Run(cell=cell_from(spec, "mean-pool", "horizontal", tiny_protocol), seed=4))
    assert record["status"] == "done", record
    assert record["test_train_ratio"] == parse_task(spec).test_train_ratio
    assert 0 <= record["test_accuracy"] <= 1


def test_a_table_corrects_its_intervals_for_folds_of_the_same_images(tiny_protocol):
    cell = cell_from("faces", "mean-pool", "horizontal", tiny_protocol)
    records = [execute(Run(cell=cell, seed=seed)) for seed in range(5)]
    (row,) = rows_of(records, [])
    scores = [record["test_accuracy"] for record in records]
    half = stats.t.ppf(0.975, 4) * np.std(scores, ddof=1) * np.sqrt(1 / 5 + 40 / 140)
    assert row.accuracy.high - row.accuracy.mean == pytest.approx(half)
    assert RESAMPLED_CAPTION in caption_of([row])
    assert RESAMPLED_CAPTION not in caption_of(rows_of([record | {"test_train_ratio": 0.0} for record in records], []))


def test_a_patch_larger_than_an_image_is_refused():
    with pytest.raises(UserError, match="patch must be 1 to 25"):
        parse_task("faces:patch=26")
