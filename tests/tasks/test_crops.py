import numpy as np
import pytest

from harness.contracts.errors import UserError
from harness.registry.cells import parse_task
from harness.tasks._crops import BANDS, SIDE
from harness.tasks.histology import derangements

SPECS = ["textures", "textures:height=3,width=9,patch=5", "histology", "histology:height=5,width=4,disorder=0.3"]


@pytest.mark.parametrize("spec", SPECS)
def test_no_crop_leaves_the_rows_of_its_split(spec):
    task = parse_task(spec)
    seen = {split: np.zeros(SIDE, dtype=bool) for split in BANDS}
    for split, (first, last) in BANDS.items():
        rows, columns = task.sample(split, 5000, 0).corners.T
        beyond = rows + task.grid[0] * task.patch
        assert rows.min() == first and beyond.max() == last
        assert columns.min() == 0 and (columns + task.grid[1] * task.patch).max() == SIDE
        for row, end in zip(rows, beyond, strict=True):
            seen[split][row:end] = True
    assert (sum(each.astype(int) for each in seen.values()) == 1).all()


@pytest.mark.parametrize("spec", SPECS)
def test_tokens_are_the_patches_of_the_images(spec):
    task = parse_task(spec)
    samples = task.sample("test", 6, 1)
    images, tokens = samples.images(np.arange(6)), samples.batch(np.arange(6)).tokens
    p = task.patch
    assert images.shape == (6, task.channels, task.grid[0] * p, task.grid[1] * p)
    for row, column in ((0, 0), (2, 3), (1, 2)):
        pixels = images[:, :, row * p : (row + 1) * p, column * p : (column + 1) * p]
        assert np.array_equal(tokens[:, row * task.grid[1] + column], pixels.reshape(6, -1))


def test_a_texture_is_a_crop_of_its_photograph_without_its_brightness_and_contrast():
    task = parse_task("textures:noise=0")
    samples = task.sample("train", 30, 0)
    images = samples.images(np.arange(30))
    assert np.allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    assert np.allclose(images.std(axis=(1, 2, 3)), 1, atol=1e-4)
    for image, target, (row, column) in zip(images, samples.target, samples.corners, strict=True):
        crop = task.photographs[target, 0, row : row + 32, column : column + 32]
        assert np.corrcoef(image.ravel(), crop.ravel())[0, 1] > 0.9999


def test_pixel_noise_has_the_given_scale_and_is_new_in_every_sample():
    quiet, noisy = (parse_task(f"textures:noise={noise}").sample("train", 100, 0) for noise in (0, 0.5))
    noise = noisy.images(np.arange(100)) - quiet.images(np.arange(100))
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert len(np.unique(noise[:, 0, 0, 0])) == 100


def test_colours_are_standardized_with_the_train_band():
    pictures = parse_task("histology").photographs
    first, last = BANDS["train"]
    assert np.allclose(pictures[:, :, first:last].mean(axis=(0, 2, 3)), 0, atol=1e-3)
    assert np.allclose(pictures[:, :, first:last].std(axis=(0, 2, 3)), 1, atol=1e-3)


def test_a_disordered_image_holds_the_patches_of_the_crop_and_the_given_share_of_them_elsewhere():
    task = parse_task("histology:disorder=0.5,noise=0")
    samples = task.sample("train", 60, 0)
    tokens = samples.batch(np.arange(60)).tokens
    cells = np.arange(task.cells)
    for index in range(60):
        places = samples.places[index]
        assert np.array_equal(np.sort(places), cells)
        assert (places != cells).sum() == (0 if samples.target[index] else 32)
        row, column = samples.corners[index]
        crop = task.photographs[0, :, row : row + 32, column : column + 32]
        for cell in cells:
            y, x = places[cell] // 8 * 4, places[cell] % 8 * 4
            assert np.array_equal(tokens[index, cell], crop[:, y : y + 4, x : x + 4].ravel())


def test_counting_tokens_tells_nothing_about_disorder():
    # The same crops, once in order and once not, are the same patches: sorted, they are equal.
    task = parse_task("histology:noise=0")
    samples = task.sample("train", 40, 0)
    moved = samples.batch(np.arange(40)).tokens
    samples.places[:] = np.arange(task.cells)
    kept = samples.batch(np.arange(40)).tokens
    assert not np.array_equal(moved, kept)
    for one, other in zip(moved, kept, strict=True):
        assert np.array_equal(one[np.lexsort(one.T)], other[np.lexsort(other.T)])


def test_every_cell_is_as_likely_to_be_disordered():
    samples = parse_task("histology:height=4,width=4,disorder=0.5").sample("train", 20_000, 0)
    share = (samples.places[samples.target == 0] != np.arange(16)).mean(axis=0)
    assert np.abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 10_000)


def test_where_a_crop_lies_does_not_depend_on_its_label():
    samples = parse_task("histology").sample("train", 20_000, 0)
    means = [samples.corners[samples.target == target].mean(axis=0) for target in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 5 * SIDE / np.sqrt(12 * 5000)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_derangements_leave_nothing_in_place_and_are_equally_likely(size):
    drawn = derangements(6000, size, np.random.default_rng(0))
    assert (np.sort(drawn, axis=1) == np.arange(size)).all()
    assert (drawn != np.arange(size)).all()
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == {2: 1, 3: 2, 4: 9}[size]
    assert np.abs(counts / 6000 - 1 / len(kinds)).max() < 5 * np.sqrt(1 / (4 * 6000))


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("textures:height=26", "must fit into a band of 102 x 512"),
        ("histology:width=129", "must be 1 to 128"),
        ("histology:width=128,patch=5", "must fit into a band of 102 x 512"),
        ("histology:disorder=0", "at least two patches"),
        ("histology:height=2,width=2,disorder=0.3", "at least two patches"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        parse_task(spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("task ")
