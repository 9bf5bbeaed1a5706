"""Feature bags of exactly both formats, good and bad."""

import h5py
import numpy as np
import pytest

from harness.contracts.errors import UserError
from harness.tasks.slides.bags import BadBag, inspect, read
from harness.tasks.slides.collection import bag_folder, inspect_all, open_collection
from harness.tasks.slides.labels import patient_folds, read_labels
from harness.tasks.slides.lattice import lattice_of, step_of
from harness.tasks.slides.writing import STEP, Slide, write_labels, write_slide

PIECES = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [0, 5], [1, 5], [1, 6], [2, 6], [6, 2], [6, 3], [7, 3]])
FORMATS = pytest.mark.parametrize("form", ["clam", "trident"])


def draw(seed=0):
    return np.random.default_rng(seed)


def slide_of(name="a", cells=PIECES, width=6, seed=1):
    return Slide(name=name, features=draw(seed).normal(size=(len(cells), width)).astype(np.float32), cells=cells)


def by_rows(slide):
    order = np.lexsort((slide.cells[:, 1], slide.cells[:, 0]))
    return slide.features[order], slide.cells[order] - slide.cells.min(axis=0)


def rewritten(path, change):
    with h5py.File(path, "a") as file:
        change(file)
    return path


def replaced(key, value):
    def change(file):
        del file[key]
        file[key] = value

    return change


@FORMATS
def test_a_bag_comes_back_row_by_row_with_its_holes(tmp_path, form):
    slide = slide_of()
    path = write_slide(tmp_path, slide, form, draw())
    bag = inspect(path, thorough=True)
    assert (bag.slide, bag.tiles, bag.width, bag.step, bag.collisions) == ("a", 12, 6, STEP, 0)
    features, cells = read(bag)
    expected = by_rows(slide)
    assert np.array_equal(features, expected[0]) and np.array_equal(cells, expected[1])


def test_clam_writes_contour_by_contour_from_origins_of_their_own_and_trident_on_one_lattice(tmp_path):
    clam, trident = (write_slide(tmp_path, slide_of(), form, draw()) for form in ("clam", "trident"))
    with h5py.File(clam) as file:
        coordinates = file["coords"][()]
        assert file["coords"].dtype == np.int32 and file["features"].dtype == np.float32
        assert not dict(file["coords"].attrs) and file["features"].shape == (12, 6)
        assert len(np.unique(coordinates % STEP, axis=0)) == 3  # three pieces of tissue
        first = coordinates[:5]
        assert (np.diff(first[:, 0]) >= 0).all()  # column by column
    with h5py.File(tmp_path / "patches" / "a.h5") as file:
        assert file["coords"].attrs["patch_size"] == STEP and "patch_level" in file["coords"].attrs
    assert inspect(clam).off_lattice == 7
    with h5py.File(trident) as file:
        assert file["coords"].dtype == np.int64 and not (file["coords"][()] % STEP).any()
        assert {"patch_size", "patch_size_level0", "overlap", "level0_width", "name"} <= set(file["coords"].attrs)
    assert inspect(trident).off_lattice == 0


@FORMATS
def test_the_order_in_the_file_and_a_leading_dimension_mean_nothing(tmp_path, form):
    slide = slide_of()
    path = write_slide(tmp_path, slide, form, draw())
    with h5py.File(path, "a") as file:
        shuffled = draw(3).permutation(12)
        arrays = {key: file[key][()][shuffled][None].astype(np.float64) for key in ("features", "coords")}
        for key, array in arrays.items():
            del file[key]
            file[key] = array
    features, cells = read(inspect(path))
    assert np.array_equal(features, by_rows(slide)[0]) and np.array_equal(cells, by_rows(slide)[1])


def test_only_chosen_tiles_are_kept(tmp_path):
    slide = slide_of()
    features, cells = read(inspect(write_slide(tmp_path, slide, "clam", draw())), lambda cells: np.array([2, 5]))
    assert np.array_equal(features, by_rows(slide)[0][[2, 5]]) and np.array_equal(cells, by_rows(slide)[1][[2, 5]])


def test_features_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.tasks.slides.bags.BLOCK_VALUES", 13)
    slide = slide_of()
    assert np.array_equal(read(inspect(write_slide(tmp_path, slide, "clam", draw())))[0], by_rows(slide)[0])


def test_the_step_is_inferred_from_few_tiles_gaps_and_strays():
    assert step_of(np.array([[7, 7]])) == 1
    assert step_of(np.array([[0, 0], [512, 768]])) == 256
    sparse = draw().permutation(np.stack(np.divmod(np.arange(900), 30), axis=1))[:300] * 224
    assert step_of(sparse) == 224
    assert step_of(np.concatenate([sparse, [[3, 0], [3, 10]]])) == 224


def test_collisions_go_to_the_nearest_free_cell_and_are_counted():
    grid = np.stack(np.divmod(np.arange(36), 6), axis=1)[:, ::-1] * 100
    found = lattice_of(np.concatenate([grid, [[510, 110], [30, 0]]]))
    assert (found.step, found.collisions, found.off_lattice) == (100, 2, 2)
    assert len(np.unique(found.cells, axis=0)) == 38
    assert found.cells[36:].tolist() == [[2, 6], [0, 0]]
    assert found.cells[0].tolist() == [1, 0]  # one row more above


def with_a_group(file):
    del file["features"]
    file.create_group("features")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:1500])


BAD = {
    "empty": (replaced("features", np.zeros((0, 6), np.float32)), "features", r"empty, shape \[0, 6\]"),
    "no tiles": (replaced("features", np.zeros(0, np.float32)), "features", r"empty, shape \[0\]"),
    "NaN": (replaced("features", np.full((12, 6), np.nan)), "features", "72 values that are not finite, first in tile"),
    "no features": (lambda file: file.pop("features"), "features", "missing, the file has coords"),
    "no coords": (lambda file: file.pop("coords"), "coords", "missing, the file has features"),
    "one axis": (replaced("features", np.zeros(12)), "features", r"shape \[12\], must be"),
    "text": (replaced("features", np.full((12, 6), b"a")), "features", "must be numbers"),
    "a group": (with_a_group, "features", "a group, where an array"),
    "other count": (replaced("coords", PIECES[:11]), "coords", r"shape \[11, 2\], must be \[12, 2\]"),
    "three columns": (replaced("coords", np.zeros((12, 3))), "coords", r"shape \[12, 3\]"),
    "fractions": (replaced("coords", PIECES + 0.5), "coords", "no whole pixels"),
    "duplicates": (replaced("coords", np.concatenate([PIECES[:11], PIECES[:1]])), "coords", "duplicated for 1 of 12"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bag_is_one_line_with_file_key_and_what_was_found(tmp_path, name):
    change, key, found = BAD[name]
    path = rewritten(write_slide(tmp_path, slide_of(), "trident", draw()), change)
    with pytest.raises(BadBag, match=found) as error:
        inspect(path, thorough=True)
    assert error.value.key == key and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_cut_short_or_missing_is_a_bad_bag(tmp_path):
    path = write_slide(tmp_path, slide_of(), "clam", draw())
    cut_short(path)
    with pytest.raises(BadBag, match="no whole HDF5 file"):
        inspect(path)
    with pytest.raises(BadBag, match="there is none"):
        inspect(tmp_path / "b.h5")


def test_features_that_are_not_finite_are_found_when_they_are_read(tmp_path):
    path = rewritten(write_slide(tmp_path, slide_of(), "clam", draw()), BAD["NaN"][0])
    bag = inspect(path)
    with pytest.raises(BadBag, match="not finite"):
        read(bag)


def test_a_bag_of_another_width_than_most_is_bad(tmp_path):
    widths = (6, 6, 4)
    paths = [
        write_slide(tmp_path, slide_of(name, width=width), "clam", draw())
        for name, width in zip("abc", widths, strict=True)
    ]
    bags, bad = inspect_all(paths, thorough=False)
    assert set(bags) == {"a", "b"} and "width 4, most bags have 6" in str(bad[0]) and bad[0].path == paths[2]


@pytest.fixture
def collected(tmp_path):
    """12 slides of 8 patients, in CLAM's format, with labels."""
    rows = []
    for number in range(12):
        write_slide(tmp_path, slide_of(f"s{number}", seed=number), "clam", draw(number))
        rows.append((f"s{number}", f"p{number % 8}", ("normal", "tumour")[number % 2]))
    write_labels(tmp_path / "labels.csv", rows)
    return tmp_path


def test_a_collection_checks_every_labelled_bag(collected):
    found = open_collection(str(collected), "labels.csv", skip_bad=False, subject="task wsi")
    assert len(found.bags) == 12 and found.labels.classes == ("normal", "tumour") and not found.left_out
    assert found.facts["slides"] == 12 and found.facts["tiles"] == 144


def test_bad_bags_stop_everything_or_are_left_out_and_told(collected):
    rewritten(collected / "h5_files" / "s3.h5", BAD["duplicates"][0])
    (collected / "h5_files" / "s5.h5").unlink()
    with pytest.raises(UserError, match=r"s3\.h5, coords: duplicated .*--skip-bad"):
        open_collection(str(collected), "labels.csv", skip_bad=False, subject="task wsi")
    found = open_collection(str(collected), "labels.csv", skip_bad=True, subject="task wsi")
    assert len(found.bags) == 10
    assert [(each["file"], each["key"]) for each in found.facts["left_out"]] == [("s3.h5", "coords"), ("s5.h5", "file")]


def test_the_folder_of_bags_is_found_in_both_layouts(tmp_path):
    for form in ("clam", "trident"):
        path = write_slide(tmp_path / form, slide_of(), form, draw())
        assert bag_folder(str(tmp_path / form), subject="task wsi") == path.parent
        assert bag_folder(str(path.parent), subject="task wsi") == path.parent
    (tmp_path / "clam" / "patches" / "none").mkdir()
    with pytest.raises(UserError, match="root must hold bags"):
        bag_folder(str(tmp_path / "clam" / "patches" / "none"), subject="task wsi")
    other = tmp_path / "trident" / "20x_256px_0px_overlap" / "features_other"
    other.mkdir()
    (other / "a.h5").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="one folder of features, got .*features_other"):
        bag_folder(str(tmp_path / "trident"), subject="task wsi")


def test_patients_are_in_one_split_and_every_slide_is_tested_once(collected):
    labels = read_labels(collected / "labels.csv", subject="task wsi")
    tested = []
    for seed in range(4):
        parts = patient_folds(labels, seed, 4, subject="task wsi")
        owners = [set(labels.patients[parts[split]]) for split in ("train", "validation", "test")]
        assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
        assert sum(len(part) for part in parts.values()) == 12
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(12))
    with pytest.raises(UserError, match="a patient for each of 5 folds, got 4 of class 'normal'"):
        patient_folds(labels, 0, 5, subject="task wsi")


LABELS = {
    "slide,patient_id,label\n": "slide_id is missing",
    "slide_id,label\na,1\n": "patient_id is missing",
    "slide_id,patient_id,label\na,,1\n": "line 2: slide_id, patient_id, label must not be empty",
    "slide_id,patient_id,label\na,p,1\na.svs,p,1\n": "line 3: every slide once, got 'a' again",
    "slide_id,patient_id,label\na,p,1\nb,p,1\n": "two classes or more, got 1",
    "": "slide_id is missing, got nothing",
}


@pytest.mark.parametrize("text", LABELS)
def test_a_mistake_in_the_labels_is_one_line(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=LABELS[text]):
        read_labels(tmp_path / "labels.csv", subject="task wsi")


def test_labels_take_clams_columns_and_names_of_scans(tmp_path):
    (tmp_path / "l.csv").write_text("case_id,slide_id,label\np1,a.svs,10\np2,b,9\n")
    found = read_labels(tmp_path / "l.csv", subject="task wsi")
    assert found.slides == ("a", "b") and found.classes == ("9", "10") and found.labels.tolist() == [1, 0]
