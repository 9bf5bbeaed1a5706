import shutil

import numpy as np
import pytest
from published_formats import images_of, write_image_folder
from skimage import io

from harness.contracts.errors import UserError
from harness.registry.cells import parse_task
from harness.tasks._pictures import read_picture

SPLITS = ("train", "validation", "test")


def task_in(root, more=""):
    return parse_task(f'image-folder:root="{root}"{more}')


def names(task, root, split):
    return {task.stored.paths[i].relative_to(root).as_posix() for i in task.parts[split]}


def test_split_folders_are_the_splits(tmp_path):
    task = task_in(write_image_folder(tmp_path))
    for split, folder, count in (("train", "train", 80), ("validation", "val", 24), ("test", "test", 28)):
        found = names(task, tmp_path, split)
        assert len(found) == count and {name.partition("/")[0] for name in found} == {folder}
    for path, label in zip(task.stored.paths, task.stored.labels, strict=True):
        assert path.parent.name == ("cat", "dog")[label]


def test_without_a_validation_folder_a_tenth_of_the_train_folder_validates(tmp_path):
    shutil.rmtree(write_image_folder(tmp_path) / "val")
    task = task_in(tmp_path)
    assert [len(task.parts[split]) for split in SPLITS] == [72, 8, 28]
    assert {name.partition("/")[0] for name in names(task, tmp_path, "validation")} == {"train"}
    assert np.bincount(task.stored.labels[task.parts["validation"]]).tolist() == [4, 4]


def test_without_split_folders_each_class_is_split_by_its_pictures_names(tmp_path):
    root = write_image_folder(tmp_path / "a", per_class=20)
    task = task_in(root)
    counts = [np.bincount(task.stored.labels[task.parts[split]]).tolist() for split in SPLITS]
    assert counts == [[14, 14], [2, 2], [4, 4]]
    assert not names(task, root, "train") & names(task, root, "test")
    copy = tmp_path / "b"
    for path in reversed(task.stored.paths):  # written in another order
        (copy / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(root))
    for split in SPLITS:
        assert names(task_in(copy), copy, split) == names(task, root, split)


def test_a_picture_of_the_asked_size_is_read_as_it_was_written(tmp_path):
    task = task_in(write_image_folder(tmp_path, size=(8, 12)), ",height=4,width=6,patch=2")
    index = next(i for i, path in enumerate(task.stored.paths) if path.as_posix().endswith("val/dog/5.png"))
    image = np.round(task.stored.read(np.array([index]))[0] * 255)
    assert np.array_equal(np.moveaxis(image, 0, -1), images_of(12, (8, 12, 3), 11)[5])


def mixed(root):
    """The same gray ramp in every form in which pictures come, and of several sizes."""
    ramp = np.tile(np.linspace(0, 1, 24), (24, 1))
    gray, deep = np.round(ramp * 255).astype(np.uint8), np.round(ramp * 65535).astype(np.uint16)
    forms = {
        "gray8.png": gray,
        "gray16.png": deep,
        "colour.png": np.dstack([gray] * 3),
        "opacity.png": np.dstack([gray] * 3 + [np.full_like(gray, 99)]),
        "float.tif": ramp.astype(np.float32),
        "large.jpg": np.kron(gray, np.ones((4, 4), dtype=np.uint8)),
        "gray16.tiff": deep,
    }
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for name, pixels in forms.items():
            io.imsave(root / label / name, pixels, check_contrast=False)
    return ramp


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_any_size_depth_and_channels_become_alike(tmp_path, channels):
    ramp = mixed(tmp_path)
    task = task_in(tmp_path, f",height=6,width=6,patch=4,channels={channels}")
    assert task.channels == channels and task.features == channels * 16
    images = task.stored.read(np.arange(14))
    assert images.shape == (14, channels, 24, 24)
    assert np.abs(images[:, :3] - ramp).max() < 0.06  # the large one is smoothed
    if channels == 4:
        opacity = {path.name: image[3].mean() for path, image in zip(task.stored.paths, images, strict=True)}
        assert opacity["opacity.png"] == pytest.approx(99 / 255) and opacity["gray8.png"] == 1


def test_channels_are_those_of_the_first_picture_unless_given(tmp_path):
    mixed(tmp_path)
    assert task_in(tmp_path).channels == 3  # colour.png
    for label in ("a", "b"):
        (tmp_path / label / "colour.png").rename(tmp_path / label / "z.png")
    assert task_in(tmp_path).channels == 1  # float.tif


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda root: shutil.rmtree(root / "dog"), "two classes or more"),
        (lambda root: [(root / "dog" / f"{i}.png").unlink() for i in range(18)], "must hold 3 pictures or more"),
        (lambda root: (root / "cat" / "0.png").write_bytes(b"no picture"), r"cat/0\.png must be a whole file"),
    ],
)
def test_a_folder_that_does_not_do_is_refused_in_one_line(tmp_path, change, rule):
    change(write_image_folder(tmp_path, per_class=20))
    with pytest.raises(UserError, match=rule) as caught:
        task_in(tmp_path)
    assert "\n" not in str(caught.value) and "got " in str(caught.value)


def test_a_class_that_only_the_test_folder_has_is_refused(tmp_path):
    write_image_folder(tmp_path)
    (tmp_path / "test" / "cow").mkdir()
    with pytest.raises(UserError, match="must have the train folder's classes, got .*cow"):
        task_in(tmp_path)


def test_more_than_the_cache_holds_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.tasks._image_sets.CACHE_BYTES", 3 * 4 * 3 * 32 * 32)
    stored = task_in(write_image_folder(tmp_path)).stored
    first = stored.read(np.arange(10))
    assert len(stored._kept) == 3
    assert np.array_equal(first, stored.read(np.arange(10)))


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "inks.jpg", "empty.png"])
def test_a_picture_that_is_broken_or_in_inks_is_named(tmp_path, name):
    from PIL import Image

    path = tmp_path / name
    picture = Image.fromarray(images_of(1, (64, 64, 3), 0)[0])
    (picture.convert("CMYK") if "inks" in name else picture).save(path)
    if "inks" not in name:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if "cut" in name else 0])
    with pytest.raises(UserError) as caught:
        read_picture(path, subject="task t")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
