"""`conv`, the short convolution that every mixer can have: one option everywhere, off as it was, on what it says."""

import inspect

import pytest
import torch

from harness.architectures.layers.short_conv import ShortConv
from harness.contracts.errors import UserError
from harness.registry import Range, architectures

WITHIN = ["deltanet", "gated-deltanet", "hyena", "mamba", "mamba2"]
IN_FRONT = [name for name in architectures.names() if name not in WITHIN]


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", architectures.names())
def test_every_architecture_has_the_option_and_says_what_it_does(name):
    entry = architectures.get(name)
    assert entry.parameters["conv"].type is int and entry.parameters["conv"].range == Range(0, 64)
    assert "conv: taps" in entry.description
    with pytest.raises(UserError, match="conv must be 0 to 64, got -1"):
        architectures.parse(f"{name}:conv=-1")


@pytest.mark.parametrize("name", WITHIN)
def test_those_that_have_one_within_can_do_without_it(build, name):
    sizes = [build(f"{name}:conv={taps}") for taps in (0, 1, 4)]
    bare, *others = ({key for key, _ in mixer.named_parameters()} for mixer in sizes)
    assert all("conv1d.weight" in key or "conv1d.bias" in key for other in others for key in other - bare)
    assert all(other - bare for other in others)
    if name != "hyena":  # which has no state of a fixed size
        assert sizes[0].state_size == sizes[1].state_size < sizes[2].state_size


@pytest.mark.parametrize("name", IN_FRONT)
def test_in_front_it_leaves_the_mixer_what_it_was(build, name):
    """The same initial values, and with a filter of zeros the same map; without one no trace in records' keys."""
    bare, mixer = build(name, dtype=torch.float64), build(f"{name}:conv=3", dtype=torch.float64)
    assert not isinstance(bare, ShortConv) and isinstance(mixer, ShortConv)
    inner = mixer.mixer.state_dict()
    assert inner.keys() == bare.state_dict().keys()
    assert all(torch.equal(value, inner[key]) for key, value in bare.state_dict().items())
    x = tokens(2, 9, 16)
    assert not torch.allclose(mixer(x), bare(x))
    torch.nn.init.zeros_(mixer.conv1d.weight)
    torch.testing.assert_close(mixer(x), bare(x))
    assert mixer.kernel == bare.kernel
    assert "conv=" not in architectures.canonical(f"{name}:conv=0")
    assert "conv=3" in architectures.canonical(f"{name}:conv=3")


def test_the_mixer_reads_a_token_and_its_filter_of_the_last_ones(build):
    mixer, x = build("identity:conv=3"), tokens(2, 7, 16)
    weight = mixer.conv1d.weight[:, 0]
    for t in range(7):
        seen = sum(weight[:, 2 - back] * x[:, t - back] for back in range(3) if t >= back)
        torch.testing.assert_close(mixer(x)[:, t], x[:, t] + seen)
    assert mixer.conv1d.bias is None


def test_what_it_costs_and_carries_is_counted(build):
    bare, mixer = build("min-gru"), build("min-gru:conv=4")
    assert mixer.state_size == bare.state_size + 3 * 16
    x = tokens(1, 5, 16)
    bare(x), mixer(x)
    assert mixer.uncounted_flops(5) - bare.uncounted_flops(5) in (0, 2 * 4 * 16 * 5)
    assert build("global-attention:conv=4").state_size is None
    read = x + torch.nn.functional.conv1d(x.mT, mixer.conv1d.weight, padding=3, groups=16)[..., :5].mT
    torch.testing.assert_close(mixer.decays(x), bare.decays(read))


def test_a_permutation_is_seen_through_more_than_one_tap(build):
    assert build("identity:conv=1").permutation_equivariant
    assert not build("identity:conv=2").permutation_equivariant
    assert build("identity:conv=2").causal and not build("global-attention:conv=2").causal


def test_the_decorated_factory_still_shows_its_own_signature():
    signature = inspect.signature(architectures.get("global-attention").factory)
    assert list(signature.parameters) == ["width", "length", "generator", "heads", "causal", "positions", "conv"]
