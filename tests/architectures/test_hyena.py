"""Hyena: its filter as the authors' code makes it, its window, the layer written out."""

import math

import numpy as np
import pytest
import torch

from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filter_by_numpy(mixer, length, made_for):
    """exp(-t r) times the network over (t, Re z, Im z), z = exp(-i f 2 pi t / L), complex as in the source."""
    made = mixer.filter
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    count = (weights["layers.0.weight"].shape[1] - 1) // 2
    place = np.linspace(0, 1, made_for)[:length, None]
    z = np.exp(-1j * np.linspace(1e-4, count - 1, count) * 2 * np.pi * np.arange(length)[:, None] / made_for)
    h = np.concatenate([place, z.real, z.imag], axis=1)
    for layer in range(3):
        h = np.sin(weights["frequency"] * (h @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"]))
    width = len(weights["last.weight"])
    rates = np.linspace(-math.log(1e-2) / 1.5, -math.log(1e-2) / 0.3, width)
    return np.exp(-place * rates) * (h @ weights["last.weight"].T)


@pytest.mark.parametrize("conv, features", [(3, 3), (0, 7), (4, 5)])
def test_the_layer_is_the_papers_written_out(build, conv, features):
    mixer = build(f"hyena:conv={conv},features={features},hidden=6", width=4, length=20, perturbed=True)
    x = tokens(2, 13, 4)
    with torch.no_grad():
        projected = x @ mixer.qkv.weight.T + mixer.qkv.bias
        if conv:
            taps = mixer.conv1d.weight[:, 0]
            earlier = torch.nn.functional.pad(projected, (0, 0, conv - 1, 0))
            projected = sum(taps[:, j] * earlier[:, j : j + 13] for j in range(conv)) + mixer.conv1d.bias
        one, two, v = projected.split(4, dim=2)
        kernel, gated = filter_by_numpy(mixer, 13, 20), (one * v).numpy()
        long = [[np.convolve(gated[b, :, c], kernel[:, c])[:13] for c in range(4)] for b in range(2)]
        held = torch.from_numpy(np.array(long)).mT + mixer.bias * one * v
        expected = (two * held) @ mixer.out.weight.T + mixer.out.bias
        for run in (mixer, mixer.reference):
            torch.testing.assert_close(run(x), expected, rtol=1e-5, atol=1e-6)  # rates and bands come from float32
    torch.testing.assert_close(mixer(x), mixer.reference(x), rtol=1e-10, atol=1e-11)


def test_the_window_leaves_a_hundredth_after_its_part_of_the_length(build):
    made = build("hyena", width=5, length=151).filter
    torch.nn.init.zeros_(made.layers[2].weight)
    torch.nn.init.constant_(made.layers[2].bias, math.pi / 2)  # every hidden channel is 1
    torch.nn.init.constant_(made.last.weight, 1 / 64)
    window = made(226).detach()
    assert window[45, -1] == pytest.approx(0.01, rel=1e-5)  # .3 of 150 steps
    assert window[225, 0] == pytest.approx(0.01, rel=1e-5)  # 1.5 of them
    torch.testing.assert_close(window[0], torch.ones(5).double())


def test_a_shorter_sequence_takes_the_filters_beginning(build):
    made = build("hyena", length=40).filter
    torch.testing.assert_close(made(12), made(40)[:12])
    assert made(400).isfinite().all()  # beyond what it was made for


def test_only_the_projections_decay_in_the_optimizer(build):
    mixer = build("hyena")
    kept = {name for name, p in mixer.named_parameters() if p.ndim >= 2 and not getattr(p, "_no_weight_decay", False)}
    assert kept == {"qkv.weight", "conv1d.weight", "out.weight"}


def test_an_even_number_of_features_is_refused_in_one_line(build):
    with pytest.raises(UserError, match="got features=4; give an odd number"):
        build("hyena:features=4")


@pytest.mark.parametrize("spec", ["hyena", "h3"])
@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build, spec):
    mixer, x = build(spec, length=300), tokens(2, 300, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().mean() < 0.05 * expected.abs().mean()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())
