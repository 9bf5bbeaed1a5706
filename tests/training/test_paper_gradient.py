"""The paper's gradient, fused and in torch, against autograd through the recurrence of Eqs. 2-6 in float64."""

import os
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.gated_scan import gated_reference
from harness.contracts import compiled as cpp_library
from harness.contracts.errors import UserError
from harness.training.paper import gradient as module
from harness.training.paper.gradient import SOURCE, Gradient, HingeGradient, flops
from harness.training.paper.gradient_torch import hinge_gradient_replicas, hinge_outputs, mixed

KERNELS = ("cpp", "torch")
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def bind(kernel, *data, **options):
    if kernel == "cpp" and cpp_library.load(SOURCE) is None:
        pytest.skip("no C++ compiler here")
    with mock.patch.dict(os.environ, {"HARNESS_NO_CPP": "0" if kernel == "cpp" else "1"}):
        bound = HingeGradient(*data, **options)
    assert ("/cpp" in bound.kernel) == (kernel == "cpp")
    return bound


def problem(samples, length, width, neurons, *, largest_u=1.0, size=1.0, projected=False, seed=0):
    """Tokens, labels, b and c; w_D, W_O and v. In float64; tokens and parameters are what float32 can hold."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).double()

    tokens = (normal(samples, length, width) / width**0.5).float().double()
    labels = torch.randint(0, 2, (samples,), generator=generator).double() * 2 - 1
    W_B, W_C = (normal(width, 3) if projected else torch.eye(width).double() for _ in range(2))
    w_D = normal(width)
    w_D *= largest_u / (tokens @ w_D).abs().max().clamp(min=1e-3)
    W_O, v = size * normal(neurons, width), normal(neurons).sign() / neurons**0.5
    w_D, W_O, v = (value.float().double() for value in (w_D, W_O, v))
    data = (tokens, labels, tokens @ W_B, tokens @ W_C)
    kept = clear_of_kinks(*data, w_D, W_O, v)
    return tuple(value[kept] for value in data), (w_D, W_O, v)


def clear_of_kinks(tokens, labels, b, c, w_D, W_O, v):
    """Samples where float32 cannot end up on the other side of a kink: one that does moves gradients by 1e-3."""
    h = gated_reference(c, b, tokens, tokens @ w_D) @ W_O.T
    near = (h.abs() < 1e-6 * h.abs().amax(2, keepdim=True)) & (h.abs() > 1e-30)
    return ~near.flatten(1).any(1) & ((labels * (F.relu(h) @ v).mean(1) - 1).abs() > 1e-5)


def reference(tokens, labels, b, c, w_D, W_O, v):
    """Eqs. 2-6 step by step, and autograd."""
    w_D, W_O = w_D.clone().requires_grad_(), W_O.clone().requires_grad_()
    y = gated_reference(c, b, tokens, tokens @ w_D)
    margins = labels * (F.relu(y @ W_O.T) @ v).mean(1)
    loss = F.relu(1 - margins).mean()
    gate, hidden = torch.autograd.grad(loss, (w_D, W_O))
    return Gradient(loss=loss.item(), margins=margins.detach(), gate=gate, hidden=hidden)


def error(found, exact):
    """Largest difference by the largest number, of loss, margins and gradients; absolute where all is below 1e-30."""
    largest = float(exact.margins.abs().max())  # the loss is a sum of margins, rounded in float32
    assert abs(found.loss - exact.loss) <= 1e-6 * max(1, exact.loss, 0.1 * largest)
    names = ("margins", "gate", "hidden")
    pairs = [(getattr(found, name).double(), getattr(exact, name)) for name in names]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)


def run(kernel, data, parameters, dtype=torch.float32, **options):
    tokens, labels, b, c = data
    scores = None if torch.equal(b, tokens) else c @ b.mT
    given_ = [None if value is None else value.to(dtype) for value in (tokens, labels, scores)]
    return bind(kernel, *given_, **options)(*(value.to(dtype) for value in parameters))


@each_kernel
@given(
    samples=st.integers(1, 9),
    length=st.integers(1, 40),
    width=st.one_of(st.integers(1, 40), st.sampled_from([32, 64, 128])),
    neurons=st.integers(1, 60),
    largest_u=st.sampled_from([0.0, 1.0, 20.0, 200.0]),
    size=st.sampled_from([0.1, 3.0, 100.0]),
    projected=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_is_the_gradient_of_the_recurrence(kernel, samples, length, width, neurons, seed, **kinds):
    data, parameters = problem(samples, length, width, neurons, seed=seed, **kinds)
    assume(len(data[0]) > 0)
    assert error(run(kernel, data, parameters), reference(*data, *parameters)) < 2e-5


@each_kernel
@pytest.mark.parametrize("shape", [(300, 30, 32, 50), (40, 30, 64, 50), (30, 30, 128, 50), (3, 300, 32, 10)], ids=str)
@pytest.mark.parametrize("largest_u", [1, 200])
def test_keeps_float32s_digits_at_sizes_of_use(kernel, shape, largest_u):
    data, parameters = problem(*shape, largest_u=largest_u)
    assert len(data[0]) > shape[0] / 2
    assert error(run(kernel, data, parameters), reference(*data, *parameters)) < 3e-6


def test_torch_in_float64_is_the_reference():
    data, parameters = problem(20, 13, 6, 5, largest_u=30, size=4, projected=True)
    found = run("torch", data, parameters, torch.float64)
    assert error(found, reference(*data, *parameters)) < 1e-12
    assert {True, False} == set((found.margins < 1).tolist())  # both sides of the hinge


def test_the_written_gradient_is_autograds():
    (tokens, labels, b, c), (w_D, W_O, v) = problem(6, 9, 5, 4, size=3, projected=True)
    found = run("torch", (tokens, labels, b, c), (w_D, W_O, v), torch.float64)
    w_D, W_O = w_D.requires_grad_(), W_O.requires_grad_()
    output = hinge_outputs(tokens, w_D, W_O, v, scores=c @ b.mT)
    gate, hidden = torch.autograd.grad(F.relu(1 - labels * output).mean(), (w_D, W_O))
    torch.testing.assert_close(found.gate, gate)
    torch.testing.assert_close(found.hidden, hidden)


@pytest.mark.parametrize("largest_u", [1, 200])
def test_mamba_ssm_agrees_on_y(largest_u):
    """An outside referee: its ssd_minimal_discrete with X = sigmoid(u) x, A = logsigmoid(-u), B = b, C = c."""
    try:
        package = load_privately("mamba_ssm.modules.ssd_minimal")
    except ImportError:
        pytest.skip("mamba-ssm is not installed")
    (tokens, _, b, c), (w_D, _, _) = problem(3, 12, 5, 1, largest_u=largest_u, projected=True)
    u = tokens @ w_D
    one_head = [value[:, :, None] for value in (u.sigmoid()[..., None] * tokens, F.logsigmoid(-u), b, c)]
    expected, _ = package.ssd_minimal_discrete(*one_head, block_len=4)
    torch.testing.assert_close(mixed(tokens, c @ b.mT, w_D), expected[:, :, 0], rtol=0, atol=1e-12)


@each_kernel
def test_every_call_gives_the_same_bits(kernel):
    (tokens, labels, _, _), parameters = problem(50, 11, 12, 9, size=3)
    data, parameters = (tokens.float(), labels.float()), [value.float() for value in parameters]
    first, again, anew = (bound(*parameters) for bound in [bind(kernel, *data)] * 2 + [bind(kernel, *data)])
    for other in (again, anew):
        assert other.loss == first.loss
        for name in ("margins", "gate", "hidden"):
            assert torch.equal(getattr(other, name), getattr(first, name))


@each_kernel
def test_outputs_are_those_of_the_gradient(kernel):
    (tokens, labels, _, _), parameters = problem(9, 11, 12, 9, size=3)
    bound = bind(kernel, tokens.float(), labels.float())
    parameters = [value.float() for value in parameters]
    margins = bound(*parameters).margins
    torch.testing.assert_close(bound.outputs(*parameters), margins * labels.float())


@each_kernel
def test_kinks_have_the_gradient_zero(kernel):
    """One token x = 1 at gate 1/2 is y = 1/2, and W_O = 2 puts the margin on exactly 1; W_O = 0 puts h on 0."""
    one = torch.ones(1)
    bound = bind(kernel, torch.ones(1, 1, 1), one)
    at_one = bound(0 * one, 2 * one[None], one)
    assert at_one.margins.item() == 1 and at_one.loss == 0
    assert at_one.gate.item() == at_one.hidden.item() == 0
    at_zero = bound(0 * one, 0 * one[None], one)
    assert at_zero.loss == 1 and at_zero.hidden.item() == 0
    inside = bound(0 * one, one[None], one)
    assert inside.hidden.item() == -0.5 and inside.gate.item() == -0.25


@each_kernel
@pytest.mark.parametrize("width", [5, 32])
def test_frozen_gates_are_gates_at_one_half(kernel, width):
    data, (w_D, W_O, v) = problem(40, 17, width, 9, size=3, projected=True)
    parameters = (0 * w_D, W_O, v)
    gated, frozen = run(kernel, data, parameters), run(kernel, data, parameters, frozen_gate=True)
    assert gated.gate.any() and not frozen.gate.any()
    torch.testing.assert_close(frozen.margins, gated.margins)
    torch.testing.assert_close(frozen.hidden, gated.hidden)
    with pytest.raises(UserError, match="w_D stays zero"):
        run(kernel, data, (w_D, W_O, v), frozen_gate=True)


def test_scores_computed_on_the_way_are_those_kept(monkeypatch):
    data, parameters = problem(9, 21, 32, 9)
    kept = run("cpp", data, parameters)
    monkeypatch.setattr(module, "PACKED_BYTES", 0)
    anew = run("cpp", data, parameters)
    for name in ("margins", "gate", "hidden"):
        assert torch.equal(getattr(kept, name), getattr(anew, name))


@each_kernel
@pytest.mark.parametrize("where", range(2))
def test_a_diverged_run_does_not_look_healthy(kernel, where):
    data, parameters = problem(3, 4, 8, 2)
    parameters[where].view(-1)[0] = torch.nan
    assert run(kernel, data, parameters).loss != run(kernel, data, parameters).loss


def test_the_environment_can_refuse_the_kernel(monkeypatch):
    monkeypatch.setenv("HARNESS_NO_CPP", "1")
    bound = HingeGradient(torch.ones(2, 3, 4), torch.ones(2))
    assert bound.kernel == "torch gated gradient/cpu"


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.parametrize("given_scores", [False, True])
def test_trials_at_once_are_trials_alone(own_data, given_scores):
    """Within 2e-6 of the largest number: products of other shapes add in another order."""
    trials = [problem(12, 9, 6, 5, size=3, projected=given_scores, seed=seed) for seed in range(3)]
    if not own_data:
        trials = [(trials[0][0], parameters) for _, parameters in trials]
    trials = [([value[:8] for value in data], parameters) for data, parameters in trials]
    stacked = [torch.stack(values).float() for values in zip(*(data for data, _ in trials), strict=True)]
    tokens, labels, b, c = stacked if own_data else [value[0] for value in stacked]
    w_D, W_O, v = (torch.stack(values).float() for values in zip(*(p for _, p in trials), strict=True))
    scores = c @ b.mT if given_scores else None
    together = hinge_gradient_replicas(tokens, labels, w_D, W_O, v, scores=scores)
    for trial, (data, parameters) in enumerate(trials):
        alone = run("torch", data, parameters)
        found = Gradient(
            loss=together.losses[trial].item(),
            margins=together.margins[trial],
            gate=together.gate[trial],
            hidden=together.hidden[trial],
        )
        assert error(found, alone) < 2e-6


def test_chunks_of_any_size_add_up_to_the_same():
    (tokens, labels, _, _), parameters = problem(12, 9, 6, 5, size=3)
    whole, parts = (
        hinge_gradient_replicas(tokens, labels, *(value[None] for value in parameters), chunk_bytes=size)
        for size in (2**30, 1)
    )
    for name in ("losses", "margins", "gate", "hidden"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name))


def test_operations_of_the_smallest_problem():
    """u, y, h, then dW_O, dy, dP and dw_D: seven multiplications with an addition each."""
    assert flops(1, 1, 1, 1) == 14
    assert flops(1, 1, 1, 1, frozen_gate=True) == 4


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(UserError, match=r"labels must be \[2\] here, got \[3\]"):
        HingeGradient(torch.ones(2, 3, 4), torch.ones(3))
    with pytest.raises(UserError, match=r"W_O must be \[5, 4\] here, got \[5, 3\]"):
        HingeGradient(torch.ones(2, 3, 4), torch.ones(2))(torch.ones(4), torch.ones(5, 3), torch.ones(5))
