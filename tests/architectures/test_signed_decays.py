"""Transitions in [-1, 1]: of Mamba, of Mamba-2, and the mixers that take them (`eigenvalues=negative`)."""

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops import scalar_scan
from harness.architectures.ops.scalar_decay import scalar_decay_chunked, scalar_decay_cpp, scalar_decay_reference
from harness.architectures.ops.selective_scan import selective_scan, selective_scan_reference

MIXERS = ["mamba", "mamba2"]


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs_and_gradients(scan, given, dtype=torch.float64):
    given = [tensor.to(dtype).detach().requires_grad_() for tensor in given]
    y = scan(*given, signed=True)
    direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), given)]


def arguments(length, groups=1, state=3, channels=4, decay=1.0, zeros=False):
    """Queries, keys, values and logarithms, some of them of one half, where the transition is 0."""
    log_decay = -decay * tokens(2, 2, length, seed=8).abs()
    if zeros:
        log_decay[..., ::3] = -math.log(2)
    return [
        tokens(2, groups, length, state),
        tokens(2, groups, length, state, seed=2),
        tokens(2, 2, length, channels),
        log_decay,
    ]


@given(
    length=st.integers(1, 70),
    groups=st.sampled_from([1, 2]),
    state=st.integers(1, 5),
    decay=st.sampled_from([0.0, 1e-3, 0.3, 1.0, 10.0, 1e4]),
    chunk=st.sampled_from([1, 3, 16, 64]),
    zeros=st.booleans(),
)
def test_chunks_are_the_recurrence_at_any_sign(length, groups, state, decay, chunk, zeros):
    given = arguments(length, groups, state, decay=decay, zeros=zeros)
    results = outputs_and_gradients(functools.partial(scalar_decay_chunked, chunk=chunk), given)
    for result, value in zip(results, outputs_and_gradients(scalar_decay_reference, given), strict=True):
        assert result.isfinite().all()
        torch.testing.assert_close(result, value, rtol=1e-9, atol=1e-10)


@pytest.mark.skipif(not scalar_scan.CPP.available(), reason="no C++ compiler here")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_the_operator_is_the_recurrence_at_any_sign(groups, dtype, tolerance):
    for decay in (0.0, 0.3, 1.0, 1e4):
        exact = [tensor.to(dtype).double() for tensor in arguments(70, groups, decay=decay, zeros=True)]
        expected = outputs_and_gradients(scalar_decay_reference, exact)
        for result, value in zip(outputs_and_gradients(scalar_decay_cpp, exact, dtype), expected, strict=True):
            assert (result.double() - value).abs().max() <= tolerance * max(value.abs().max(), 1)


@pytest.mark.parametrize("decay", [1e-3, 0.5, 3.0])
def test_chunks_keep_their_digits_in_float32_where_transitions_are_zero(decay):
    exact = [tensor.float().double() for tensor in arguments(100, decay=decay, zeros=True)]
    expected = outputs_and_gradients(scalar_decay_reference, exact)
    for a, b in zip(outputs_and_gradients(scalar_decay_chunked, exact, torch.float32), expected, strict=True):
        assert (a.double() - b).abs().max() <= 2e-5 * b.abs().max()


def solved(transitions, written):
    """States of h_t = a_t h_{t-1} + w_t as one linear system, [..., length] each."""
    length = transitions.shape[-1]
    system = torch.eye(length, dtype=transitions.dtype) - torch.diag_embed(transitions[..., 1:], offset=-1)
    return torch.linalg.solve(system, written[..., None])[..., 0]


def test_every_form_of_mamba2s_solves_the_system():
    q, k, v, log_decay = arguments(40)
    written = torch.einsum("bgts,bhtc->bhsct", k, v)
    states = solved((2 * log_decay.exp() - 1)[:, :, None, None].expand_as(written), written)
    expected = torch.einsum("bgts,bhsct->bhtc", q, states)
    forms = [scalar_decay_reference, scalar_decay_chunked] + [scalar_decay_cpp] * scalar_scan.CPP.available()
    for form in forms:
        torch.testing.assert_close(form(q, k, v, log_decay, signed=True), expected, rtol=1e-9, atol=1e-10)


def test_every_form_of_mambas_solves_the_system(monkeypatch):
    u, delta, A = tokens(2, 3, 20), tokens(2, 3, 20, seed=2).abs(), -tokens(3, 4, seed=3).abs()
    B, C = tokens(2, 4, 20, seed=4), tokens(2, 4, 20, seed=5)
    kept = 2 * torch.exp(torch.einsum("bdt,dn->bdnt", delta, A)) - 1
    expected = torch.einsum("bdnt,bnt->bdt", solved(kept, torch.einsum("bdt,bdt,bnt->bdnt", delta, u, B)), C)
    assert kept.min() < -0.5  # or nothing is tried
    for form in (selective_scan_reference, selective_scan):
        torch.testing.assert_close(form(u, delta, A, B, C, signed=True), expected, rtol=1e-9, atol=1e-10)
    monkeypatch.setenv("HARNESS_NO_CPP", "1")
    torch.testing.assert_close(selective_scan(u, delta, A, B, C, signed=True), expected, rtol=1e-9, atol=1e-10)


def test_a_state_that_turns_at_every_one_holds_the_parity():
    ones = torch.tensor([1.0, 0, 1, 1, 0, 1, 0, 0, 1]).double()
    log_decay = torch.where(ones == 1, -1e4, 0.0).double()[None, None]
    written = torch.cat([-torch.ones(1), torch.zeros(8)]).double()[None, None, :, None]  # the first one has turned it
    unit = torch.ones_like(written)
    for form in (scalar_decay_reference, scalar_decay_chunked):
        found = form(unit, unit, written, log_decay, signed=True)[0, 0, :, 0]
        torch.testing.assert_close(found, 1 - 2 * (ones.cumsum(0) % 2))


@pytest.mark.parametrize("name", MIXERS)
def test_parameters_are_those_of_the_positive_ones_and_decays_sizes(build, name):
    positive, negative = build(name), build(f"{name}:eigenvalues=negative")
    for one, other in zip(positive.parameters(), negative.parameters(), strict=True):
        assert torch.equal(one, other)
    x = tokens(2, 7, 16)
    torch.testing.assert_close(negative.decays(x), (2 * positive.decays(x) - 1).abs())
    assert not torch.allclose(positive(x), negative(x))


@pytest.mark.parametrize("name", MIXERS)
def test_without_a_convolution_the_activation_stays(build, name):
    bare, one_tap = build(f"{name}:conv=0", perturbed=True), build(f"{name}:conv=1", perturbed=True)
    missing = one_tap.load_state_dict(bare.state_dict(), strict=False).missing_keys
    assert missing == ["block.conv1d.weight", "block.conv1d.bias"]
    torch.nn.init.ones_(one_tap.block.conv1d.weight)
    torch.nn.init.zeros_(one_tap.block.conv1d.bias)
    x = tokens(2, 7, 16)
    for run in ("forward", "reference", "decays"):
        torch.testing.assert_close(getattr(bare, run)(x), getattr(one_tap, run)(x))
    assert bare.state_size == one_tap.state_size
    assert bare.uncounted_flops(7) <= one_tap.uncounted_flops(7)
