"""Norms: the C++ operator and the torch form are one map, torch's own modules', bit-equal for any number of threads."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.contracts.norm import CPP, RMSNorm, group_norm, rms_norm

needs_cpp = pytest.mark.skipif(not CPP.available(), reason="no C++ compiler here")
TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs_and_gradients(function, tensors, dtype):
    tensors = [tensor.to(dtype).detach().requires_grad_() for tensor in tensors]
    y = function(*tensors)
    return [y.detach(), *torch.autograd.grad(y, tensors, normal(*y.shape, seed=7).to(dtype))]


def assert_same(results, expected, tolerance):
    for result, value in zip(results, expected, strict=True):
        assert (result - value).abs().max() <= tolerance * max(float(value.abs().max()), 1)


def spelled_out(x, weight, gate, groups, eps, place):
    if place == "before":
        x = x * F.silu(gate)
    parts = x.unflatten(-1, (groups, -1))
    y = (parts / (parts.square().mean(-1, keepdim=True) + eps).sqrt()).flatten(-2) * weight
    return y * F.silu(gate) if place == "behind" else y


@needs_cpp
@settings(max_examples=40)
@given(
    groups=st.integers(1, 4),
    size=st.sampled_from([1, 2, 5, 8, 16, 19]),
    rows=st.sampled_from([(1,), (3, 90), (2, 130), (2, 1, 5)]),
    place=st.sampled_from(["none", "before", "behind"]),
    dtype=st.sampled_from(list(TOLERANCE)),
    sliced=st.booleans(),
)
def test_the_root_mean_square_norm_is_its_definition(groups, size, rows, place, dtype, sliced):
    channels = groups * size
    x, gate = (
        normal(*rows, channels + 2)[..., 1:-1] if sliced else normal(*rows, channels),
        normal(*rows, channels, seed=1),
    )
    weight = normal(channels, seed=2)

    def ours(x, weight, gate):
        return (
            rms_norm(
                x, weight, 1e-3, groups=groups, gate=None if place == "none" else gate, gate_first=place == "before"
            )
            + 0 * gate
        )

    def plain(x, weight, gate):
        return spelled_out(x, weight, gate, groups, 1e-3, place) + 0 * gate

    expected = outputs_and_gradients(plain, [x, weight, gate], torch.float64)
    assert_same(outputs_and_gradients(ours, [x, weight, gate], dtype), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("cpp", [pytest.param(True, marks=needs_cpp), False])
def test_group_norm_is_torchs(cpp, gated, monkeypatch):
    monkeypatch.setenv("HARNESS_NO_CPP", "0" if cpp else "1")
    norm, x, gate = nn.GroupNorm(3, 15, eps=1e-4).double(), normal(2, 70, 15), normal(2, 70, 15, seed=1)
    for seed, parameter in enumerate(norm.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))

    def ours(x, gate, *_):
        return group_norm(x, norm, gate if gated else None) + 0 * gate

    def torchs(x, gate, *_):
        y = norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return y * (F.silu(gate) if gated else 1) + 0 * gate

    for given_tensors in ([x, gate], [3 * x + 5, gate]):
        expected = outputs_and_gradients(torchs, given_tensors, torch.float64)
        assert_same(outputs_and_gradients(ours, given_tensors, torch.float64), expected, 1e-11)
    y = ours(x, gate)
    assert all(grad.abs().sum() > 0 for grad in torch.autograd.grad(y.sum(), list(norm.parameters())))


@pytest.mark.parametrize("cpp", [pytest.param("0", marks=needs_cpp), "1"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_module_is_torchs(cpp, dtype, monkeypatch):
    monkeypatch.setenv("HARNESS_NO_CPP", cpp)
    ours, torchs, x = RMSNorm(12).to(dtype), nn.RMSNorm(12).to(dtype), normal(2, 7, 12).to(dtype)
    torch.testing.assert_close(ours(x), torchs(x))
    assert ours.state_dict().keys() == torchs.state_dict().keys()


@pytest.mark.parametrize("gate_first", [True, False])
@pytest.mark.parametrize("weight", ["shared", "each", "none"])
def test_both_forms_are_one(weight, gate_first, monkeypatch):
    x, gate = normal(2, 9, 12), normal(2, 9, 12, seed=1)
    given_weight = {"shared": normal(4, seed=2), "each": normal(12, seed=2), "none": None}[weight]
    y = rms_norm(x, given_weight, 1e-4, groups=3, gate=gate, gate_first=gate_first)
    monkeypatch.setenv("HARNESS_NO_CPP", "1")
    torch.testing.assert_close(y, rms_norm(x, given_weight, 1e-4, groups=3, gate=gate, gate_first=gate_first))


@needs_cpp
@pytest.mark.parametrize("gate_first", [True, False])
def test_gradients_are_limits_of_differences(gate_first):
    tensors = [normal(3, 6, seed=s).requires_grad_() for s in range(2)] + [normal(6, seed=2).requires_grad_()]

    def norm(x, gate, weight):
        return rms_norm(x, weight, 1e-3, groups=2, gate=gate, gate_first=gate_first)

    assert torch.autograd.gradcheck(norm, tensors)


@needs_cpp
def test_the_number_of_threads_changes_no_bit():
    before = torch.get_num_threads()
    x, weight, gate = normal(40, 300, 24), normal(24, seed=1), normal(40, 300, 24, seed=2)
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                outputs_and_gradients(
                    lambda x, w, g: rms_norm(x, w, 1e-5, groups=3, gate=g), [x, weight, gate], torch.float32
                )
            )
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_a_norm_of_nothing_is_finite_and_nan_comes_out():
    assert rms_norm(torch.zeros(3, 8), torch.ones(8), 1e-6).abs().max() == 0
    assert rms_norm(torch.full((3, 8), torch.nan), torch.ones(8), 1e-6).isnan().all()
