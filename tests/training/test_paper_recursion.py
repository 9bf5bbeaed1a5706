"""The oracle of the frozen-gate problem against gradient descent on real data, and its closed form against itself."""

import numpy as np
import pytest
import torch

from harness.registry import tasks
from harness.training.paper.gradient import HingeGradient
from harness.training.paper.gradient_torch import mixed

from .recursion import FrozenGateDescent, features_of, law_of, locality_law, steps_to_loss

SMALL = "locality:length=8,near=1,far=6,dim=6,replacement=false,placement=paper,noise=0"


def draw(spec, count, seed=0):
    """Patterns [N, L], tokens [N, L, d] and labels +1 or -1 [N] of a task."""
    entry, values = tasks.parse(spec)
    samples = entry.create(values).sample("train", count, seed)
    batch = samples.batch(np.arange(count))
    return samples.patterns, torch.from_numpy(batch.tokens), 2 * samples.target - 1


def start(neurons, dim, size, seed=0, *, even=True):
    """W_O and v, half of them positive; `even`: as many neurons are to grow for either pattern."""
    generator = np.random.default_rng(seed)
    w = size * generator.standard_normal((neurons, dim)).astype(np.float32)
    v = np.repeat([1, -1], neurons // 2) / np.sqrt(neurons)
    if even:
        w[::2, :2], w[1::2, :2] = abs(w[::2, :2]), -abs(w[1::2, :2])
    return w, v


def descend(tokens, labels, w, v, eta, steps, loss=None):
    """W_O after `steps` of the real thing, or the first step where its loss is `loss` or less."""
    bound = HingeGradient(tokens, torch.from_numpy(labels).float(), frozen_gate=True)
    W_O, v, zero = torch.from_numpy(w).clone(), torch.from_numpy(v).float(), torch.zeros(w.shape[1])
    for step in range(steps):
        gradient = bound(zero, W_O, v)
        if loss is not None and gradient.loss <= loss:
            return step
        W_O -= eta * gradient.hidden
    return W_O.numpy() if loss is None else None


@pytest.mark.parametrize("spec", [SMALL, "majority:length=9,dim=5,noise=0,relevant=.5,confusing=.25"])
def test_features_are_what_the_model_mixes(spec):
    patterns, tokens, _ = draw(spec, 20)
    y = mixed(tokens.double(), None, torch.zeros(tokens.shape[2], dtype=torch.float64))
    np.testing.assert_allclose(features_of(patterns, tokens.shape[2]), y.sum(1), atol=1e-12)


def test_leaps_are_single_steps():
    law = locality_law(length=6, near=1, far=3, dim=4, replacement=True)
    leaping, stepping = (FrozenGateDescent(law, *start(10, 4, 0.1), eta=0.5) for _ in range(2))
    for _ in range(30):
        leaping.run(100)
        for _ in range(100):
            stepping.run(1)
        assert leaping.step == stepping.step
        np.testing.assert_allclose(leaping.w, stepping.w, atol=1e-9)


@pytest.mark.parametrize("even", [True, False])
def test_locality_descends_as_the_recursion_says(even):
    """All irrelevant patterns are in every sequence: two points are the whole law, so any balanced data set has it."""
    _, tokens, labels = draw(SMALL, 64)
    law = locality_law(length=8, near=1, far=6, dim=6, replacement=False)
    assert len(law.labels) == 2 and labels.sum() == 0
    w, v = start(16, 6, 0.01, even=even)
    oracle = FrozenGateDescent(law, w, v, eta=1)
    for _ in range(4):
        real = descend(tokens, labels, oracle.w.astype(np.float32), v, 1, 1500)
        oracle.run(1500)
        # Where one class is held at its margin the last bit decides which step it is active: up to a step's change.
        np.testing.assert_allclose(real, oracle.w, atol=2e-4 * abs(oracle.w).max() if even else 0.05)
    again = FrozenGateDescent(law, w, v, eta=1)
    expected = again.run_to_loss(1e-3, 20_000)
    assert descend(tokens, labels, w, v, 1, 20_000, loss=1e-3) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(
    "spec",
    [
        "locality:length=10,near=2,far=7,dim=5,placement=paper,noise=0",
        "locality:length=14,near=2,far=6,dim=7,placement=matched,noise=0",
        "majority:length=9,dim=5,noise=0,relevant=.5,confusing=.25",
    ],
)
def test_any_data_set_descends_as_its_own_law_says(spec):
    """Repeated patterns and all: the recursion is exact for a data set, not for its task's average only."""
    patterns, tokens, labels = draw(spec, 100)
    dim = tokens.shape[2]
    w, v = start(12, dim, 2, even=False)
    oracle = FrozenGateDescent(law_of(patterns, labels, dim), w, v, eta=0.2)
    steps = 4000
    oracle.run(steps)
    assert (oracle.margins >= 1).any()  # kinks were passed
    np.testing.assert_allclose(descend(tokens, labels, w, v, 0.2, steps), oracle.w, atol=5e-4 * abs(oracle.w).max())


def test_many_samples_have_the_listed_law():
    law = locality_law(length=6, near=1, far=3, dim=4, replacement=True)
    patterns, _, labels = draw("locality:length=6,near=1,far=3,dim=4,placement=paper,noise=0", 20_000)
    found = law_of(patterns, labels, 4)
    np.testing.assert_array_equal(found.features, law.features)
    np.testing.assert_array_equal(found.labels, law.labels)
    spread = np.sqrt(law.probabilities * (1 - law.probabilities) / 20_000)
    assert (abs(found.probabilities - law.probabilities) < 5 * spread).all()


def test_order_does_not_matter_without_replacement():
    """Listed one arrangement for all, the law is that of the task's shuffled sequences."""
    spec = "locality:length=7,near=1,far=4,dim=6,replacement=false,placement=paper,noise=0"
    patterns, _, labels = draw(spec, 20_000)
    law, found = locality_law(length=7, near=1, far=4, dim=6, replacement=False), law_of(patterns, labels, 6)
    np.testing.assert_array_equal(found.features, law.features)
    np.testing.assert_allclose(found.probabilities, law.probabilities, atol=0.01)


@pytest.mark.parametrize("near, far", [(1, 6), (2, 5)])
def test_closed_form_of_an_even_start(near, far):
    """8 L^2 / (eta delta^2), where a quarter of all neurons grows for either pattern; to 1% from a start of 1e-3."""
    law = locality_law(length=8, near=near, far=far, dim=6, replacement=False)
    found = FrozenGateDescent(law, *start(16, 6, 1e-3), eta=0.5).run_to_loss(1e-3, 10**6)
    delta = 2.0 ** -(1 + near) - 2.0 ** -(1 + far)
    predicted = steps_to_loss(length=8, near=near, far=far, eta=0.5)
    assert predicted == pytest.approx(8 * 64 / (0.5 * delta**2), rel=2e-3)
    assert found == pytest.approx(predicted, rel=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_closed_form_of_an_uneven_start(seed):
    law = locality_law(length=8, near=1, far=6, dim=6, replacement=False)
    w, v = start(50, 6, 1e-4, seed, even=False)
    plus, minus = ((v > 0) & (w[:, 0] > 0)).mean(), ((v < 0) & (w[:, 1] > 0)).mean()
    assert plus != minus
    against = v < 0 if plus > minus else v > 0
    irrelevant = (against[:, None] & (w[:, 2:] > 0)).mean(0).sum() * 0.5**2
    predicted = steps_to_loss(length=8, near=1, far=6, eta=0.1, plus=plus, minus=minus, irrelevant=irrelevant)
    assert FrozenGateDescent(law, w, v, eta=0.1).run_to_loss(1e-3, 10**6) == pytest.approx(predicted, rel=0.005)
