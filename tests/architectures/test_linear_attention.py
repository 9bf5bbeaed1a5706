"""Linear attention: chunks against recurrences at any gate, both against the printed sums, the layers written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.layers import linear_attention
from harness.architectures.ops.linear_attention import (
    gated_linear_chunked,
    gated_linear_reference,
    linear_chunked,
    linear_reference,
)
from harness.contracts.errors import UserError

NAMES = ["linear-attention", "gated-linear-attention"]


def arguments(length, state=3, channels=4, decay=None, size=1.0):
    """Queries, keys and values in float64; with `decay`, logarithms of gates that shut about that much a step."""
    generator = torch.Generator().manual_seed(0)

    def normal(lanes):
        return torch.randn(2, 2, length, lanes, generator=generator, dtype=torch.float64)

    given = [size * normal(state), size * normal(state), normal(channels)]
    return given if decay is None else [*given, -decay * normal(state).abs()]


def outputs_and_gradients(attend, given, dtype=torch.float64):
    given = [tensor.to(dtype).detach().requires_grad_() for tensor in given]
    y = attend(*given)
    direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), given)]


def gated_recurrence(q, k, v, log_alpha):
    return gated_linear_reference(q, k, v, log_alpha.exp())


def assert_same(results, expected):
    for result, value in zip(results, expected, strict=True):
        assert result.isfinite().all()
        torch.testing.assert_close(result, value, rtol=1e-10, atol=1e-11)


@given(
    length=st.integers(1, 70),
    state=st.integers(1, 6),
    channels=st.integers(1, 6),
    decay=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0, 100.0, 1e4]),
    chunk=st.sampled_from([1, 2, 8, 16, 64]),
)
def test_gated_chunks_are_the_recurrence_at_any_gate(length, state, channels, decay, chunk):
    given = arguments(length, state, channels, decay)
    results = outputs_and_gradients(lambda *tensors: gated_linear_chunked(*tensors, chunk=chunk), given)
    assert_same(results, outputs_and_gradients(gated_recurrence, given))


@given(
    length=st.integers(1, 70),
    state=st.integers(1, 6),
    channels=st.integers(1, 6),
    chunk=st.sampled_from([1, 5, 16, 32]),
)
def test_linear_chunks_are_the_recurrence(length, state, channels, chunk):
    given = arguments(length, state, channels)
    results = outputs_and_gradients(lambda *tensors: linear_chunked(*tensors, chunk=chunk), given)
    assert_same(results, outputs_and_gradients(linear_reference, given))


def test_the_gated_recurrence_is_a_sum_over_products_of_gates():
    q, k, v, log_alpha = (tensor[0, 0] for tensor in arguments(7, decay=0.5))
    alpha, expected = log_alpha.exp(), torch.zeros_like(v)
    for t in range(7):
        for s in range(t + 1):
            expected[t] += (q[t] * alpha[s + 1 : t + 1].prod(0)).dot(k[s]) * v[s]
    result = gated_linear_reference(*(tensor[None, None] for tensor in (q, k, v, alpha)))
    torch.testing.assert_close(result[0, 0], expected)


def test_linear_attention_is_an_average_with_the_weights_of_the_feature_map():
    q, k, v = arguments(40)
    weights = ((F.elu(q) + 1) @ (F.elu(k) + 1).transpose(-1, -2)).tril()
    expected = weights / weights.sum(-1, keepdim=True) @ v
    for attend in (linear_reference, linear_chunked):
        torch.testing.assert_close(attend(q, k, v), expected, rtol=1e-5, atol=1e-5)  # the normalizer's 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gates_that_are_shut_leave_the_step_alone(dtype):
    q, k, v = (tensor.to(dtype) for tensor in arguments(40))
    y = gated_linear_chunked(q, k, v, torch.full_like(k, -1e6))
    torch.testing.assert_close(y, (q * k).sum(-1, keepdim=True) * v)


def test_gates_that_are_open_leave_a_plain_sum():
    q, k, v = arguments(40)
    y = gated_linear_chunked(q, k, v, torch.zeros_like(k))
    torch.testing.assert_close(y, (q @ k.transpose(-1, -2)).tril() @ v)


@pytest.mark.parametrize("decay", [1e-4, 0.1, 3.0, 100.0])
def test_gated_chunks_keep_their_digits_in_float32(decay):
    exact = [tensor.float().double() for tensor in arguments(256, decay=decay)]
    expected = outputs_and_gradients(gated_recurrence, exact)
    for a, b in zip(outputs_and_gradients(gated_linear_chunked, exact, torch.float32), expected, strict=True):
        assert (a.double() - b).abs().max() < 3e-6 * b.abs().max()


def test_features_that_underflow_give_numbers():
    q, k, v = (tensor.float() for tensor in arguments(40))
    for result in outputs_and_gradients(linear_chunked, [q - 200, k - 200, v], torch.float32):
        assert result.isfinite().all()


@pytest.mark.parametrize("heads, rank", [(1, 2), (2, 16), (4, 3)])
def test_the_gated_layer_is_the_papers_written_out(build, heads, rank):
    mixer = build(f"gated-linear-attention:heads={heads},rank={rank}", width=8, perturbed=True)
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w_q, w_k, w_v = mixer.qkv.weight.T.split([4, 4, 8], dim=1)
    w_down, w_up, b = mixer.gate_down.weight.T, mixer.gate_up.weight.T, mixer.gate_up.bias
    keys, values = 4 // heads, 8 // heads
    states = [torch.zeros(keys, values, dtype=torch.float64) for _ in range(heads)]
    expected = []
    for token in x:
        alpha = torch.sigmoid(token @ w_down @ w_up + b) ** (1 / 16)
        normed = []
        for head in range(heads):
            key, value = slice(head * keys, (head + 1) * keys), slice(head * values, (head + 1) * values)
            written = torch.outer((token @ w_k)[key], (token @ w_v)[value])
            states[head] = torch.diag(alpha[key]) @ states[head] + written
            o = (token @ w_q)[key] @ states[head]
            normed.append(o / torch.sqrt(o.square().mean() + 1e-5) * mixer.norm.weight)
        gate = token @ mixer.output_gate.weight.T + mixer.output_gate.bias
        expected.append((gate * torch.sigmoid(gate) * torch.cat(normed)) @ mixer.out.weight.T)
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], torch.stack(expected), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_the_linear_layer_is_the_papers_written_out(build, heads):
    mixer = build(f"linear-attention:heads={heads}", width=8, perturbed=True)
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q, k, v = (x @ mixer.qkv.weight.T + mixer.qkv.bias).split(8, dim=1)
    heads_of = []
    for head in range(heads):
        own = slice(head * 8 // heads, (head + 1) * 8 // heads)
        weights = ((F.elu(q[:, own]) + 1) @ (F.elu(k[:, own]) + 1).T).tril()
        heads_of.append(weights @ v[:, own] / (weights.sum(-1, keepdim=True) + 1e-6))
    expected = torch.cat(heads_of, dim=1) @ mixer.out.weight.T + mixer.out.bias
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], expected, rtol=1e-11, atol=1e-12)


def test_half_is_left_after_sixteen_steps_of_a_gate_at_zero(build, monkeypatch):
    mixer = build("gated-linear-attention")
    torch.nn.init.zeros_(mixer.gate_up.weight)
    torch.nn.init.zeros_(mixer.gate_up.bias)
    kept = []
    monkeypatch.setattr(linear_attention, "gated_read_out", lambda mixer, x, mixed: kept.append(mixed) or x)
    x = torch.zeros(1, 20, 16, dtype=torch.float64)
    x[0, [0, 16], 0] = 1  # the token of step 16 reads what its like wrote at step 0, and itself
    mixer(x)
    torch.testing.assert_close(kept[0][:, :, 16], 1.5 * kept[0][:, :, 0])


def test_gates_see_a_token_through_their_directions_only(build):
    mixer = build("gated-linear-attention:rank=3", perturbed=True)
    directions = mixer.gate_directions()
    assert directions.shape == (8, 16)
    unseen = torch.linalg.svd(directions).Vh[-1]
    x = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(mixer._gate_input(x + unseen), mixer._gate_input(x))
    assert not torch.allclose(mixer._gate_input(x + directions[0]), mixer._gate_input(x))


def test_the_state_is_counted(build):
    assert build("linear-attention:heads=4", width=32).state_size == 4 * (8 * 8 + 8)
    assert build("gated-linear-attention:heads=4", width=32).state_size == 4 * (4 * 8)


@pytest.mark.parametrize("name", NAMES)
def test_a_width_that_does_not_fit_is_named_in_one_line(build, name):
    with pytest.raises(UserError, match="must divide the width 18.*got heads=4"):
        build(name, width=18)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("error")
def test_under_autocast_they_stay_near_the_reference(build, name):
    mixer, x = build(name), torch.randn(2, 600, 16, generator=torch.Generator().manual_seed(1))
    expected = mixer.reference(x.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x)
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
    assert math.isfinite(sum(gradient.sum() for gradient in torch.autograd.grad(y.sum(), list(mixer.parameters()))))
