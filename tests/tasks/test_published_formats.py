import gzip
import pickle

import numpy as np
import pytest
from published_formats import (
    COUNTS,
    idx,
    images_of,
    labels_of,
    write_cifar10_binary,
    write_cifar10_pickles,
    write_medmnist,
    write_mnist,
    write_pathfinder,
)

from harness.contracts.errors import UserError
from harness.registry.cells import cell_from, parse_task
from harness.tasks.cifar10 import read_pickle


def task_in(name, root, more=""):
    return parse_task(f'{name}:root="{root}"{more}')


def refusal(name, root, more=""):
    with pytest.raises(UserError) as caught:
        task_in(name, root, more)
    message = str(caught.value)
    assert message.startswith(f"task {name}: ") and "\n" not in message and "got " in message
    return message


def stored(task, indices):
    """Images as the bytes they were written as."""
    return np.round(task.stored.read(np.asarray(indices)) * 255).astype(np.uint8)


@pytest.mark.parametrize("write", [write_cifar10_pickles, write_cifar10_binary])
@pytest.mark.parametrize("inside", [False, True])
def test_cifar10_is_read_as_it_was_written(tmp_path, write, inside):
    write(tmp_path)
    task = task_in("cifar10", next(tmp_path.iterdir()) if inside else tmp_path)
    assert task.grid == (8, 8) and task.features == 48 and task.classes == 10
    expected = np.concatenate([images_of(48, (3072,), seed) for seed in range(6)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(stored(task, np.arange(288)), expected)
    assert np.array_equal(task.stored.labels, np.tile(labels_of(48, 10), 6))
    assert np.array_equal(np.sort(task.parts["test"]), np.arange(240, 288))
    assert len(task.parts["train"]) + len(task.parts["validation"]) == 240


def test_a_cifar10_pickle_of_python_2_is_read(tmp_path):
    # Protocol 0 with byte texts, the names of numpy's modules as they then were.
    written = pickle.dumps({b"data": images_of(3, (3072,), 0), b"labels": [1, 2, 3]}, protocol=2)
    path = tmp_path / "data_batch_1"
    path.write_bytes(written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    pixels, labels = read_pickle(path)
    assert np.array_equal(pixels, images_of(3, (3072,), 0)) and labels == [1, 2, 3]


class Malice:
    def __reduce__(self):
        return eval, ("__import__('os').mkdir('made')",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cifar10_pickles(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(pickle.dumps({b"data": Malice(), b"labels": []}, protocol=2))
    message = refusal("cifar10", tmp_path)
    assert "data_batch_3" in message and "eval" in message
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_mnist_is_read_as_it_was_written(tmp_path, zipped, separator):
    task = task_in("mnist", write_mnist(tmp_path, zipped=zipped, separator=separator))
    assert task.grid == (7, 7) and task.features == 16 and task.classes == 10
    expected = np.concatenate([images_of(240, (28, 28), 0), images_of(40, (28, 28), 1)])
    assert np.array_equal(stored(task, np.arange(280))[:, 0], expected)
    assert np.array_equal(task.stored.labels, np.concatenate([labels_of(240, 10), labels_of(40, 10)]))
    assert np.array_equal(np.sort(task.parts["test"]), np.arange(240, 280))


@pytest.mark.parametrize(("shape", "channels"), [((28, 28, 3), 3), ((28, 28), 1), ((64, 64, 3), 3)])
def test_medmnist_is_read_as_it_was_written(tmp_path, shape, channels):
    task = task_in("medmnist", write_medmnist(tmp_path, "some", shape=shape), ",name=some")
    assert task.channels == channels and task.grid == (shape[0] // 4, shape[1] // 4) and task.classes == 9
    counts = list(COUNTS.values())
    for split, start, count, seed in zip(COUNTS, (0, 240, 264), counts, range(3), strict=True):
        assert np.array_equal(np.sort(task.parts[split]), np.arange(start, start + count))
        expected = images_of(count, shape, seed).reshape(count, *shape[:2], channels)
        assert np.array_equal(stored(task, np.arange(start, start + count)), np.moveaxis(expected, -1, 1))


def test_medmnist_of_several_labels_or_of_volumes_is_refused(tmp_path):
    write_medmnist(tmp_path, "chestmnist", columns=14)
    assert "one label, got 14" in refusal("medmnist", tmp_path, ",name=chestmnist")
    write_medmnist(tmp_path, "organmnist3d", shape=(28, 28, 28))
    assert "take a 2D set" in refusal("medmnist", tmp_path, ",name=organmnist3d")


def test_pathfinder_is_read_as_it_was_written(tmp_path):
    task = task_in("pathfinder", write_pathfinder(tmp_path))
    assert task.grid == (8, 8) and task.features == 16 and task.classes == 2
    for path, label, image in zip(task.stored.paths, task.stored.labels, stored(task, np.arange(240)), strict=True):
        number, index = int(path.parent.name), int(path.stem.removeprefix("sample_"))
        assert np.array_equal(image[0], images_of(60, (32, 32), number)[index])
        assert label == index % 2
    assert [len(task.parts[split]) for split in COUNTS] == [192, 24, 24]


def test_pathfinder_leaves_empty_files_out_and_names_missing_ones(tmp_path):
    pictures = write_pathfinder(tmp_path, "curv_contour_length_9") / "curv_contour_length_9" / "imgs" / "2"
    (pictures / "sample_17.png").write_bytes(b"")
    task = task_in("pathfinder", tmp_path, ",difficulty=curv_contour_length_9")
    assert len(task.stored.labels) == 239
    (pictures / "sample_18.png").unlink()
    (tmp_path / "curv_contour_length_9" / "metadata" / "more.npy").write_text("imgs/2 sample_0.png 0 1\n")
    assert "imgs/2/sample_18.png" in refusal("pathfinder", tmp_path, ",difficulty=curv_contour_length_9")


def test_a_split_does_not_depend_on_how_a_folder_lists_its_files(tmp_path):
    one = task_in("pathfinder", write_pathfinder(tmp_path / "one"))
    other = write_pathfinder(tmp_path / "other")
    metadata = other / "curv_baseline" / "metadata"
    (metadata / "0.npy").rename(metadata / "z.npy")
    again = task_in("pathfinder", other)
    for split in COUNTS:
        names = [
            {str(task.stored.paths[i].relative_to(root)) for i in task.parts[split]}
            for task, root in ((one, tmp_path / "one"), (again, other))
        ]
        assert names[0] == names[1]


@pytest.mark.parametrize(
    ("write", "name", "victim", "what"),
    [
        (write_cifar10_pickles, "cifar10", "cifar-10-batches-py/data_batch_2", "www.cs.toronto.edu"),
        (write_cifar10_binary, "cifar10", "cifar-10-batches-bin/data_batch_2.bin", "www.cs.toronto.edu"),
        (write_mnist, "mnist", "t10k-labels-idx1-ubyte.gz", "ossci-datasets.s3.amazonaws.com/mnist/"),
        (write_medmnist, "medmnist", "pathmnist.npz", "zenodo.org/records/10519652"),
        (write_pathfinder, "pathfinder", "curv_baseline/metadata", "storage.googleapis.com/long-range-arena"),
    ],
)
def test_a_missing_file_is_named_with_where_to_fetch_it(tmp_path, write, name, victim, what):
    path = write(tmp_path) / victim
    path.rename(tmp_path / "elsewhere")
    message = refusal(name, tmp_path)
    assert what in message and path.name.removesuffix(".gz") in message and str(tmp_path) in message


@pytest.mark.parametrize(
    ("write", "name", "victim"),
    [
        (write_cifar10_pickles, "cifar10", "cifar-10-batches-py/data_batch_2"),
        (write_cifar10_binary, "cifar10", "cifar-10-batches-bin/data_batch_2.bin"),
        (write_mnist, "mnist", "train-images-idx3-ubyte.gz"),
        (write_mnist, "mnist", "t10k-labels-idx1-ubyte.gz"),
        (write_medmnist, "medmnist", "pathmnist.npz"),
        (write_pathfinder, "pathfinder", "curv_baseline/metadata/1.npy"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_broken_file_is_named(tmp_path, write, name, victim, damage):
    path = write(tmp_path) / victim
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 3] if damage == "cut" else b"\x07garbage that is no data at all" * 9)
    message = refusal(name, tmp_path)
    assert str(path) in message and "fetch it again" in message


def test_a_picture_that_is_broken_is_named_when_it_is_read(tmp_path):
    task = task_in("pathfinder", write_pathfinder(tmp_path))
    path = task.stored.paths[100]
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="corrupt or cut short") as caught:
        task.stored.read(np.array([100]))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_labels_that_no_class_has_are_a_broken_file(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.full(240, 17))))
    assert "train-labels" in refusal("mnist", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "mnist", "medmnist", "pathfinder", "image-folder"])
def test_a_root_that_is_not_given_or_not_there_is_asked_for(tmp_path, name):
    with pytest.raises(UserError, match="root must be given, got none") as caught:
        parse_task(name)
    assert f"{name}:root=" in str(caught.value) and "\n" not in str(caught.value)
    assert "nowhere" in refusal(name, tmp_path / "nowhere")
    with pytest.raises(UserError, match="root must be given"):
        cell_from(name, "mean-pool", "horizontal", "standard").check()


def test_the_canonical_spec_holds_root_as_given(tmp_path):
    spec = f'mnist:root="{write_mnist(tmp_path / "a b")}"'
    assert cell_from(spec, "mean-pool", "horizontal", "standard").task == spec + ",patch=4"


def test_a_file_is_read_once_a_process_and_again_when_it_changes(tmp_path):
    root = write_mnist(tmp_path)
    first, again = task_in("mnist", root), task_in("mnist", root, ",patch=7")
    assert first.stored is again.stored
    (root / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(40))))
    assert task_in("mnist", root).chance == 1
