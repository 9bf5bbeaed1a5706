"""RWKV-7: chunks against the recurrence, both against transformers' kindred rule, the layer written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops.wkv7 import LOWEST_LOG_DECAY, wkv7_chunked, wkv7_reference
from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arguments(length, state=3, channels=4, openness=0.0):
    """Queries, keys, values, decays (the more `openness`, the nearer to 1), removed, added."""
    q, k, removed, rate, decay = (tokens(2, 2, length, state, seed=seed) for seed in range(5))
    removed = removed / removed.norm(dim=-1, keepdim=True)
    log_decay = LOWEST_LOG_DECAY * (decay - openness).sigmoid()
    return [q, k, tokens(2, 2, length, channels, seed=9), log_decay, removed, -rate.sigmoid() * removed]


def outputs_and_gradients(recur, given, dtype=torch.float64):
    given = [tensor.to(dtype).detach().requires_grad_() for tensor in given]
    y = recur(*given)
    direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), given)]


OPENNESS = [-50.0, -3.0, 0.0, 3.0, 50.0]  # from all decays at their lowest to all at 1


@given(
    length=st.integers(1, 70),
    state=st.integers(1, 6),
    channels=st.integers(1, 6),
    openness=st.sampled_from(OPENNESS),
)
def test_chunks_are_the_recurrence_at_any_decay(length, state, channels, openness):
    given = arguments(length, state, channels, openness)
    expected = outputs_and_gradients(wkv7_reference, given)
    for result, value in zip(outputs_and_gradients(wkv7_chunked, given), expected, strict=True):
        assert result.isfinite().all()
        torch.testing.assert_close(result, value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("openness", OPENNESS)
def test_chunks_keep_their_digits_in_float32(openness):
    exact = [tensor.float().double() for tensor in arguments(256, 8, 8, openness)]
    expected = outputs_and_gradients(wkv7_reference, exact)
    for a, b in zip(outputs_and_gradients(wkv7_chunked, exact, torch.float32), expected, strict=True):
        assert (a.double() - b).abs().max() <= 1e-5 * b.abs().max()


def test_both_are_kimi_delta_attention_of_transformers_where_the_two_meet():
    """Its state is (I - beta k k^T) diag(w) S + beta k v^T: what is removed is k w, what is added -beta k."""
    module = pytest.importorskip("transformers.models.kimi_linear.modeling_kimi_linear")
    q, k, v, log_decay, *_ = arguments(70)
    k = k / k.norm(dim=-1, keepdim=True)
    beta = tokens(2, 2, 70, seed=8).sigmoid()
    theirs = [tensor.transpose(1, 2) for tensor in (q, k, v, log_decay, beta)]
    expected, _ = module.recurrent_kimi_delta_attention(*theirs, None, False)
    expected = expected.transpose(1, 2).double() * 3**0.5  # theirs scales queries; computes in float32
    rate = beta[..., None]
    for recur in (wkv7_chunked, wkv7_reference):
        y = recur(q, rate * k, v, log_decay, k * log_decay.exp(), -rate * k)
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads, rank", [(1, 2), (2, 16), (4, 3)])
def test_the_layer_is_the_papers_written_out(build, heads, rank):
    mixer = build(f"rwkv7:heads={heads},rank={rank}", width=8, perturbed=True)
    size = 8 // heads
    states = [torch.zeros(size, size).double() for _ in range(heads)]  # the paper's, values x keys
    before, expected = torch.zeros(8).double(), []
    x = tokens(19, 8)
    for token in x:
        x_r, x_d, x_k, x_v, x_a, x_g = (token + share * (before - token) for share in mixer.shift)
        before = token
        r, k, v = mixer.receptance.weight @ x_r, mixer.key.weight @ x_k, mixer.value.weight @ x_v
        d = mixer.decay_up.weight @ torch.tanh(mixer.decay_down.weight @ x_d) + mixer.decay_up.bias
        w = torch.exp(-math.exp(-0.5) * torch.sigmoid(d))
        a = torch.sigmoid(mixer.rate_up.weight @ (mixer.rate_down.weight @ x_a) + mixer.rate_up.bias)
        g = mixer.gate_up.weight @ torch.sigmoid(mixer.gate_down.weight @ x_g)
        kappa, written = k * mixer.removal, k * (1 + (a - 1) * mixer.replacement)
        p = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            khat = kappa[own] / torch.sqrt(kappa[own].square().sum() + 1e-6)
            transition = torch.diag(w[own]) - torch.outer(khat, a[own] * khat)
            states[head] = states[head] @ transition + torch.outer(v[own], written[own])
            o = states[head] @ r[own]
            o = (o - o.mean()) / torch.sqrt(o.var(correction=0) + size * 1e-5)
            bonus = (r[own] * mixer.bonus[head, 0] * written[own]).sum() * v[own]
            p.append(o * mixer.norm.weight[own] + mixer.norm.bias[own] + bonus)
        expected.append(mixer.out.weight @ (g * torch.cat(p)))
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], torch.stack(expected), rtol=1e-9, atol=1e-11)


def test_decays_start_spread_out_and_stay_above_their_bound(build):
    decays = build("rwkv7", width=32).decays(tokens(2, 5, 32))
    assert decays.shape == (2, 5, 4, 8)
    assert decays.min() > math.exp(LOWEST_LOG_DECAY) and decays.max() > 0.99 and decays.min() < 0.75


def test_gates_see_a_token_through_their_directions_only(build):
    mixer = build("rwkv7:rank=2", perturbed=True)
    directions, x = mixer.gate_directions(), tokens(1, 1, 16)
    assert directions.shape == (32, 16)
    unseen = torch.linalg.svd(directions).Vh[-1]
    torch.testing.assert_close(mixer.decays(x + unseen), mixer.decays(x))
    assert not torch.allclose(mixer.decays(x + directions[0]), mixer.decays(x))


def test_the_state_is_counted(build):
    assert build("rwkv7:heads=4", width=32).state_size == 4 * 8 * 8 + 32


def test_the_triangular_systems_are_counted(build):
    """Of 40 steps three chunks: 120 pairs of steps each, a product and a difference for 8 + 8 columns of 4 heads."""
    assert build("rwkv7", width=32).chunked_flops(40) == 3 * 120 * 2 * 4 * (8 + 8)


@pytest.mark.parametrize("width", [18, 4])
def test_a_width_that_does_not_fit_is_named_in_one_line(build, width):
    with pytest.raises(UserError, match=f"must divide the width {width}.*got heads=4"):
        build("rwkv7", width=width)


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("rwkv7", width=32), tokens(2, 600, 32)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().mean() < 0.05 * expected.abs().mean()
