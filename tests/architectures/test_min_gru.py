"""minGRU: the scan of logarithms against the recurrence at any gate, against scipy's filter, and the layer by hand."""

import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops.log_scan import (
    candidate,
    gated_average_log_scan,
    gated_average_reference,
    log_candidate,
)


def normal(*shape, seed=0, size=1.0):
    return size * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs_and_gradients(scan, gate, candidates):
    given = [gate.clone().requires_grad_(), candidates.clone().requires_grad_()]
    y = scan(*given)
    direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
    return [y.detach(), *torch.autograd.grad((y * direction).sum(), given)]


@given(
    length=st.integers(1, 70),
    width=st.integers(1, 5),
    bias=st.sampled_from([-1e4, -30.0, -3.0, 0.0, 3.0, 30.0]),
    size=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_the_log_space_scan_is_the_recurrence_at_any_gate(length, width, bias, size):
    gate, candidates = bias + normal(2, length, width, size=size), normal(2, length, width, seed=1, size=size)
    results = outputs_and_gradients(gated_average_log_scan, gate, candidates)
    expected = outputs_and_gradients(gated_average_reference, gate, candidates)
    for result, value in zip(results, expected, strict=True):
        assert result.isfinite().all()
        torch.testing.assert_close(result, value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("opening", [0.01, 0.3, 0.99])
@pytest.mark.parametrize("scan", [gated_average_log_scan, gated_average_reference])
def test_with_one_gate_it_is_scipys_exponential_smoothing(scan, opening):
    candidates = normal(2, 60, 3)
    gate = torch.full_like(candidates, opening).logit()
    values = torch.where(candidates >= 0, candidates + 0.5, 1 / (1 + torch.exp(-candidates)))
    expected = scipy.signal.lfilter([opening], [1, opening - 1], values.numpy(), axis=1)
    torch.testing.assert_close(scan(gate, candidates), torch.from_numpy(expected))


def test_the_candidate_is_positive_continuous_and_has_the_logarithm_it_should():
    x = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    g = candidate(x)
    assert (g > 0).all() and (g.diff() > 0).all() and g.diff().max() < 0.1001
    torch.testing.assert_close(log_candidate(x), g.log())
    extreme = torch.tensor([-1e6, 1e6], dtype=torch.float64, requires_grad=True)
    log_candidate(extreme).sum().backward()
    assert extreme.grad.isfinite().all()


@pytest.mark.parametrize("expand", [1, 3])
def test_the_layer_is_the_papers_written_out(build, expand):
    mixer, x = build(f"min-gru:expand={expand}", width=4, perturbed=True), normal(2, 9, 4)
    h = torch.zeros(2, 4 * expand, dtype=torch.float64)
    expected = []
    for token in x.unbind(1):
        z = 1 / (1 + torch.exp(-(token @ mixer.gate.weight.T + mixer.gate.bias)))
        raw = token @ mixer.candidate.weight.T + mixer.candidate.bias
        h = (1 - z) * h + z * torch.where(raw >= 0, raw + 0.5, 1 / (1 + torch.exp(-raw)))
        expected.append(h if expand == 1 else h @ mixer.out.weight.T + mixer.out.bias)
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x), torch.stack(expected, dim=1), rtol=1e-11, atol=1e-12)


def test_a_decay_is_what_a_step_keeps_of_the_one_before(build):
    mixer, x = build("min-gru", perturbed=True), normal(1, 5, 16)
    h, decays = mixer(x), mixer.decays(x)
    written = (1 - decays) * candidate(mixer.candidate(x))
    torch.testing.assert_close(h[:, 1:], decays[:, 1:] * h[:, :-1] + written[:, 1:])


def test_gates_see_a_token_through_their_directions_only(build):
    mixer, x = build("min-gru"), normal(1, 5, 16)
    torch.testing.assert_close(torch.sigmoid(-(x @ mixer.gate_directions().T + mixer.gate.bias)), mixer.decays(x))


def test_a_long_sequence_keeps_its_digits_in_float32():
    gate, candidates = normal(1, 20_000, 2).float(), normal(1, 20_000, 2, seed=1).float()
    expected = gated_average_reference(gate.double(), candidates.double())
    y = gated_average_log_scan(gate, candidates)
    assert y.dtype == torch.float32 and (y - expected).abs().max() < 1e-6 * expected.abs().max()


def test_the_state_is_counted(build):
    assert build("min-gru", width=12).state_size == 12 and build("min-gru:expand=2", width=12).state_size == 24


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("min-gru:expand=2"), normal(2, 300, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())
