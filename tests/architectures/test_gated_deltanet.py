"""The gated delta rule: chunks against the recurrence at any gate, both against transformers' code, the layer too."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops.gated_delta import gated_delta_chunked, gated_delta_reference
from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arguments(length, state=3, channels=4, decay=1.0):
    """Queries, keys, values, gates that shut about `decay` a step, learning rates."""
    q, k, v = (tokens(2, 2, length, size, seed=size + seed) for seed, size in enumerate((state, state, channels)))
    q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    return [q, k, v, -decay * tokens(2, 2, length, seed=8).abs(), tokens(2, 2, length, seed=9).sigmoid()]


def outputs_and_gradients(rule, given, dtype=torch.float64):
    given = [tensor.to(dtype).detach().requires_grad_() for tensor in given]
    y = rule(*given)
    direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), given)]


@given(
    length=st.integers(1, 70),
    state=st.integers(1, 6),
    channels=st.integers(1, 6),
    decay=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0, 1e4]),
    chunk=st.sampled_from([1, 3, 16, 64]),
)
def test_chunks_are_the_recurrence_at_any_gate(length, state, channels, decay, chunk):
    given = arguments(length, state, channels, decay)
    results = outputs_and_gradients(lambda *tensors: gated_delta_chunked(*tensors, chunk=chunk), given)
    for result, value in zip(results, outputs_and_gradients(gated_delta_reference, given), strict=True):
        assert result.isfinite().all()
        torch.testing.assert_close(result, value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 1e-4, 0.1, 3.0, 1e6])
def test_chunks_keep_their_digits_in_float32(decay):
    exact = [tensor.float().double() for tensor in arguments(256, decay=decay)]
    expected = outputs_and_gradients(gated_delta_reference, exact)
    for a, b in zip(outputs_and_gradients(gated_delta_chunked, exact, torch.float32), expected, strict=True):
        assert (a.double() - b).abs().max() <= 1e-5 * b.abs().max() + 1e-20


@pytest.mark.parametrize("decay", [0.0, 0.1, 3.0])
def test_both_are_the_rule_of_transformers(decay):
    theirs = pytest.importorskip("transformers.models.qwen3_next.modeling_qwen3_next").torch_recurrent_gated_delta_rule
    given = arguments(70, decay=decay)
    q, k, v, g, beta = (tensor.transpose(1, 2) for tensor in given)
    expected = (
        theirs(q, k, v, g, beta)[0].transpose(1, 2).double() * 3**0.5
    )  # theirs scales queries; computes in float32
    for rule in (gated_delta_chunked, gated_delta_reference):
        torch.testing.assert_close(rule(*given), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", [gated_delta_chunked, gated_delta_reference])
def test_a_full_rate_replaces_what_a_key_holds_and_leaves_the_rest(rule):
    k = torch.eye(3, dtype=torch.float64)[[0, 1, 0, 2, 1]][None, None]
    v, open_gate, rate = tokens(1, 1, 5, 4), torch.zeros(1, 1, 5).double(), torch.ones(1, 1, 5).double()
    read = torch.eye(3, dtype=torch.float64)[[0, 0, 0, 0, 0]][None, None]
    expected = v[0, 0][[0, 0, 2, 2, 2]]
    torch.testing.assert_close(rule(read, k, v, open_gate, rate)[0, 0], expected)


@pytest.mark.parametrize("heads, conv, expand", [(1, 1, 1), (2, 4, 2), (4, 2, 3)])
def test_the_layer_is_the_papers_written_out(build, heads, conv, expand):
    mixer = build(f"gated-deltanet:heads={heads},conv={conv},expand={expand}", width=8, perturbed=True)
    x = tokens(9, 8)
    keys, values = 8 // heads, 8 * expand // heads
    projected = torch.cat([torch.zeros(conv - 1, 16 + 8 * expand).double(), x @ mixer.qkv.weight.T])
    taps = mixer.conv1d.weight[:, 0].T
    states = [torch.zeros(values, keys).double() for _ in range(heads)]
    expected = []
    for t, token in enumerate(x):
        mixed = (projected[t : t + conv] * taps).sum(0)
        mixed = mixed * torch.sigmoid(mixed)
        step, rate = (mixer.gates.weight @ token).chunk(2)
        alpha = torch.exp(-mixer.A_log.exp() * torch.log1p(torch.exp(step + mixer.dt_bias)))
        normed = []
        for head in range(heads):
            q, k = (mixed[start + head * keys :][:keys] for start in (0, 8))
            q, k = (part / torch.sqrt(part.square().sum() + 1e-6) for part in (q, k))
            v, beta = mixed[16 + head * values :][:values], torch.sigmoid(rate[head])
            erase = alpha[head] * (torch.eye(keys).double() - beta * torch.outer(k, k))
            states[head] = states[head] @ erase + beta * torch.outer(v, k)
            o = states[head] @ q
            normed.append(o / torch.sqrt(o.square().mean() + 1e-5) * mixer.norm.weight)
        gate = mixer.output_gate.weight @ token
        expected.append(mixer.out.weight @ (gate * torch.sigmoid(gate) * torch.cat(normed)))
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], torch.stack(expected), rtol=1e-9, atol=1e-11)


def test_gates_see_a_token_through_their_directions_only(build):
    mixer = build("gated-deltanet", perturbed=True)
    directions, x = mixer.gate_directions(), tokens(1, 5, 16)
    assert directions.shape == (8, 16)
    unseen = torch.linalg.svd(directions).Vh[-1]
    for before, after in zip(mixer._gate(x), mixer._gate(x + unseen), strict=True):
        torch.testing.assert_close(before, after)
    assert not torch.allclose(mixer.decays(x + directions[0]), mixer.decays(x))


def test_decays_are_the_gates(build):
    mixer, x = build("gated-deltanet", perturbed=True), tokens(2, 5, 16)
    torch.testing.assert_close(mixer.decays(x).log(), mixer._gate(x)[0].transpose(1, 2))


def test_the_state_is_counted(build):
    assert build("gated-deltanet", width=32).state_size == 4 * (8 * 16) + 3 * 4 * 32


def test_the_triangular_systems_are_counted(build):
    """Of 40 steps two chunks: 496 pairs of steps each, a product and a difference for 8 + 16 columns of 4 heads."""
    mixer = build("gated-deltanet", width=32)
    assert mixer.chunked_flops(40) == 2 * 496 * 2 * 4 * (8 + 16)


def test_a_width_that_does_not_fit_is_named_in_one_line(build):
    with pytest.raises(UserError, match="must divide the width 18.*got heads=4"):
        build("gated-deltanet", width=18)


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("gated-deltanet"), tokens(2, 600, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().mean() < 0.05 * expected.abs().mean()
