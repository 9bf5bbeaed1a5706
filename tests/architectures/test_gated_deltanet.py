"""The delta rule, gated and not: chunks against the recurrence, both against transformers' code, the layers too."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops import matrix_scan
from harness.architectures.ops.gated_delta import (
    delta_chunked,
    delta_cpp,
    delta_reference,
    gated_delta_chunked,
    gated_delta_reference,
)
from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arguments(length, state=3, channels=4, decay=1.0, largest=1.0):
    """Queries, keys, values, gates that shut about `decay` a step, learning rates up to `largest`."""
    q, k, v = (tokens(2, 2, length, size, seed=size + seed) for seed, size in enumerate((state, state, channels)))
    q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    return [q, k, v, -decay * tokens(2, 2, length, seed=8).abs(), largest * tokens(2, 2, length, seed=9).sigmoid()]


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
    largest=st.sampled_from([1.0, 2.0]),
)
def test_chunks_are_the_recurrence_at_any_gate(length, state, channels, decay, chunk, largest):
    given = arguments(length, state, channels, decay, largest)
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


@pytest.mark.parametrize("largest", [1.0, 2.0])
@pytest.mark.parametrize("decay", [0.0, 0.1, 3.0])
def test_both_are_the_rule_of_transformers(decay, largest):
    theirs = pytest.importorskip("transformers.models.qwen3_next.modeling_qwen3_next").torch_recurrent_gated_delta_rule
    given = arguments(70, decay=decay, largest=largest)
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


@given(
    length=st.integers(1, 70),
    state=st.integers(1, 6),
    channels=st.integers(1, 6),
    largest=st.sampled_from([1.0, 2.0]),
)
def test_without_a_decay_every_form_is_the_gated_rule_whose_gates_stand_open(length, state, channels, largest):
    q, k, v, gates, beta = arguments(length, state, channels, 0.0, largest)
    expected = outputs_and_gradients(gated_delta_reference, [q, k, v, gates, beta])
    del expected[4]  # the gates' gradient
    forms = [delta_reference, delta_chunked] + [delta_cpp] * matrix_scan.CPP.available()
    for rule in forms:
        for result, value in zip(outputs_and_gradients(rule, [q, k, v, beta]), expected, strict=True):
            torch.testing.assert_close(result, value, rtol=1e-9, atol=1e-10)


def test_at_a_rate_of_two_a_key_turns_the_sign_of_what_it_holds():
    """The parity of a sequence, held in one number: 1 as key and value 0 turn it, other keys leave it."""
    ones = torch.tensor([1, 0, 1, 1, 0, 1, 0, 0, 1])
    k = torch.eye(2, dtype=torch.float64)[1 - torch.cat([torch.ones(1, dtype=torch.long), ones])][None, None]
    v = torch.tensor([1.0, *[0.0] * 9], dtype=torch.float64)[None, None, :, None]
    beta = torch.tensor([1.0, *[2.0] * 9], dtype=torch.float64)[None, None]
    read = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, 1, 10, 2)
    for rule in (delta_reference, delta_chunked):
        found = rule(read, k, v, beta)[0, 0, 1:, 0]
        torch.testing.assert_close(found, 1.0 - 2.0 * (ones.cumsum(0) % 2), check_dtype=False)


@pytest.mark.parametrize("heads, conv, expand", [(1, 0, 2), (2, 4, 1)])
def test_the_layer_without_a_gate_is_the_papers_written_out(build, heads, conv, expand):
    mixer = build(f"deltanet:heads={heads},conv={conv},expand={expand},eigenvalues=negative", width=8, perturbed=True)
    x = tokens(9, 8)
    keys, values = 8 // heads, 8 * expand // heads
    projected = x @ mixer.qkv.weight.T
    if conv:
        taps = mixer.conv1d.weight[:, 0].T
        earlier = torch.cat([torch.zeros(conv - 1, projected.shape[1]).double(), projected])
        projected = torch.stack([(earlier[t : t + conv] * taps).sum(0) for t in range(9)])
    mixed = projected * torch.sigmoid(projected)
    states = [torch.zeros(values, keys).double() for _ in range(heads)]
    expected = []
    for t, token in enumerate(x):
        normed = []
        for head in range(heads):
            q, k = (mixed[t][start + head * keys :][:keys] for start in (0, 8))
            q, k = (part / torch.sqrt(part.square().sum() + 1e-6) for part in (q, k))
            v = mixed[t][16 + head * values :][:values]
            beta = 2 * torch.sigmoid(mixer.gates.weight[head] @ token)
            states[head] = states[head] - beta * torch.outer(states[head] @ k - v, k)
            o = states[head] @ q
            normed.append(o / torch.sqrt(o.square().mean() + 1e-5) * mixer.norm.weight)
        expected.append(mixer.out.weight @ torch.cat(normed))
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], torch.stack(expected), rtol=1e-9, atol=1e-11)


def test_negative_eigenvalues_double_beta_and_change_nothing_else(build):
    x = tokens(2, 5, 16)
    for name in ("deltanet", "gated-deltanet"):
        plain, signed = build(name), build(f"{name}:eigenvalues=negative")
        assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), signed.parameters(), strict=True))
        torch.testing.assert_close(signed._gate(x)[-1], 2 * plain._gate(x)[-1])


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
    assert build("deltanet", width=32).state_size == 4 * (8 * 8) + 3 * 3 * 32
    assert build("deltanet:conv=0", width=32).state_size == 4 * (8 * 8)


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
