import numpy as np
import pytest

from harness.registry import tasks
from harness.tasks._images import cut_patches, textures

SPECS = ["locality2d:height=6,width=9", "majority2d:height=3,width=5,patch=3", "majority2d:channels=3,patch=2"]


def sample(spec, count=20):
    entry, values = tasks.parse(spec)
    task = entry.create(values)
    return task, task.sample("train", count, 0)


@pytest.mark.parametrize(("channels", "patch"), [(1, 2), (1, 4), (3, 4), (1, 3), (2, 8)])
def test_textures_are_orthonormal_and_none_is_mere_brightness(channels, patch):
    vectors = textures(channels, patch, subject="task t").astype(np.float64)
    assert len(vectors) == channels * patch * patch - 1
    assert np.allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-6)
    assert np.allclose(vectors.sum(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_the_image_holds_each_cells_texture_at_its_pixels(spec):
    task, samples = sample(spec + ",noise=0")
    images = samples.images(np.arange(20))
    (height, width), p = task.grid, task.patch
    assert images.shape == (20, task.channels, height * p, width * p)
    for i in range(20):
        for row in range(height):
            for column in range(width):
                pixels = images[i, :, row * p : (row + 1) * p, column * p : (column + 1) * p]
                texture = task.vectors[samples.patterns[i, row * width + column]]
                assert np.array_equal(pixels, texture.reshape(task.channels, p, p))


@pytest.mark.parametrize("spec", SPECS)
def test_tokens_are_the_patches_of_the_noisy_image(spec):
    task, samples = sample(spec)
    images, tokens = samples.images(np.arange(3)), samples.batch(np.arange(3)).tokens
    row, column, p = 2, 3, task.patch
    if column < task.grid[1]:
        pixels = images[:, :, row * p : (row + 1) * p, column * p : (column + 1) * p]
        assert np.array_equal(tokens[:, row * task.grid[1] + column], pixels.reshape(3, -1))
    assert np.array_equal(tokens, cut_patches(images, p))


def test_pixel_noise_has_the_given_scale():
    task, samples = sample("locality2d:noise=0.3", 200)
    noise = samples.batch(np.arange(200)).tokens - task.vectors[samples.patterns]
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert abs(noise.mean()) < 0.005
