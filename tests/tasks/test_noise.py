import numpy as np
import pytest
import scipy.stats

from harness.contracts.seeds import normal_stretch
from harness.registry.cells import parse_task
from harness.tasks._patterns import CORRELATION


def noise_of(kind, task="majority"):
    made = parse_task(f"{task}:noise=0.5,noise_kind={kind}")
    samples = made.sample("train", 600, 7)
    clean = made.vectors[samples.patterns]
    indices = np.arange(600)
    return (samples.batch(indices).tokens - clean) / 0.5, (samples.batch_once(0, 600).tokens - clean) / 0.5


@pytest.mark.parametrize("task", ["majority", "locality"])
@pytest.mark.parametrize("kind", ["normal", "student", "correlated"])
def test_every_kind_of_noise_has_unit_variance_however_it_is_drawn(kind, task):
    for noise in noise_of(kind, task):
        assert noise.mean() == pytest.approx(0, abs=0.02)
        # Student's t has no fourth moment: its sample variance converges slowly.
        assert noise.var() == pytest.approx(1, rel=0.1 if kind == "student" else 0.02)


def test_student_noise_has_heavy_tails_and_correlated_noise_remembers():
    normal, student, correlated = (noise_of(kind)[0] for kind in ("normal", "student", "correlated"))
    far = [np.mean(np.abs(noise) > 4) for noise in (normal, student, correlated)]
    assert far[1] > 20 * max(far[0], far[2])
    neighbours = [np.mean(noise[:, 1:] * noise[:, :-1]) for noise in (normal, student, correlated)]
    assert neighbours == pytest.approx([0, 0, CORRELATION], abs=0.03)


def test_samples_drawn_once_share_labels_and_patterns_with_the_others():
    samples = parse_task("locality").sample("train", 32, 3)
    once, again = samples.batch_once(8, 16), samples.batch(np.arange(8, 16))
    assert np.array_equal(once.target, again.target)
    assert np.abs(once.tokens - again.tokens).max() < 0.2
    assert np.array_equal(once.tokens, samples.batch_once(8, 16).tokens)


def test_noise_that_is_drawn_once_is_standard_normal():
    drawn = normal_stretch(3, (501, 33, 7)).astype(np.float64)
    assert drawn.shape == (501, 33, 7) and normal_stretch(3, (501, 33, 7)).dtype == np.float32
    assert scipy.stats.kstest(drawn.ravel(), "norm").pvalue > 1e-3
    assert abs(drawn.mean()) < 5 / np.sqrt(drawn.size)
    assert scipy.stats.kurtosis(drawn.ravel()) == pytest.approx(0, abs=5 * np.sqrt(24 / drawn.size))
    # The two halves come from the same draws, as sine and cosine: they must not be correlated, nor their squares.
    half = drawn.size // 2
    first, second = drawn.ravel()[:half], drawn.ravel()[half : 2 * half]
    for power in (1, 2):
        assert abs(np.corrcoef(first**power, second**power)[0, 1]) < 5 / np.sqrt(half)
    assert not np.array_equal(normal_stretch(3, (10,)), normal_stretch(4, (10,)))
    assert np.isfinite(normal_stretch(5, (1_000_001,))).all()
