"""The paper's block: its formula, its outside referee, its numerics."""

import pytest
import torch
import torch.nn.functional as F

from harness.architectures.layers.gated_ssm import uses_chunks
from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.gated_scan import gated_chunked, gated_quadratic, gated_reference

FAST = {"quadratic": gated_quadratic, "chunked": lambda q, k, v, u: gated_chunked(q, k, v, u, chunk=4)}
each_fast = pytest.mark.parametrize("fast", FAST.values(), ids=FAST.keys())


def arguments(length=13, width=5, state=3, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, length, state), (2, length, state), (2, length, width), (2, length)]
    q, k, v, u = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return [tensor.to(dtype).requires_grad_() for tensor in (q, k, v, u * scale)]


def outputs_and_gradients(scan, given):
    y = scan(*given)
    return [y, *torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).to(y).view_as(y)).sum(), given)]


def test_the_block_is_the_papers_formula_term_by_term(build):
    mixer = build("gated-ssm:projection=gaussian,normalized=false", width=4, perturbed=True)
    x = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[0]
    sigmoid = torch.sigmoid(x @ mixer.w_D)
    expected = torch.zeros(6, 4, dtype=torch.float64)
    for t in range(6):
        for s in range(t + 1):
            kept = torch.prod(1 - sigmoid[s + 1 : t + 1])
            expected[t] += kept * sigmoid[s] * (mixer.W_B.T @ x[s]).dot(mixer.W_C.T @ x[t]) * x[s]
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], expected, rtol=1e-12, atol=1e-12)


def test_two_equal_tokens_speak_with_a_power_of_one_half(build):
    """Gates start at 1/2: a unit token seen again `gap` steps later adds (1/2)^(gap + 1) of itself."""
    mixer = build("gated-ssm:normalized=false", width=3)
    assert mixer.w_D.eq(0).all()
    x = torch.zeros(1, 8, 3, dtype=torch.float64)
    x[0, 1, 0] = x[0, 6, 0] = 1
    assert mixer(x)[0, 6, 0].item() == pytest.approx(0.5**6 + 0.5)


def test_normalized_divides_by_the_width(build):
    x = torch.randn(1, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bare, normalized = (build(f"gated-ssm:normalized={switch}", width=8)(x) for switch in ("false", "true"))
    torch.testing.assert_close(normalized, bare / 8)


def test_ungated_is_gated_at_its_start(build):
    x = torch.randn(2, 130, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for length in (20, 130):
        torch.testing.assert_close(build("ungated-ssm")(x[:, :length]), build("gated-ssm")(x[:, :length]))


@pytest.mark.parametrize(
    "options, drawn, trained",
    [
        ("projection=identity,train_projections=false", 0, ["w_D"]),
        ("projection=shared,train_projections=false", 1, ["w_D"]),
        ("projection=gaussian,train_projections=false", 2, ["w_D"]),
        ("projection=identity,train_projections=true", 2, ["W_B", "W_C", "w_D"]),
        ("projection=shared,train_projections=true", 1, ["W_B", "w_D"]),
        ("projection=gaussian,train_projections=true", 2, ["W_B", "W_C", "w_D"]),
    ],
)
def test_projections_are_drawn_and_trained_as_asked(build, options, drawn, trained):
    mixer = build(f"gated-ssm:{options}", width=8)
    assert (mixer.W_B is None, mixer.W_C is None) == (drawn == 0, drawn == 0)
    if drawn:
        one_matrix = torch.equal(mixer.W_B, mixer.W_C)
        assert one_matrix == (drawn == 1 or "identity" in options)
    assert [name for name, parameter in mixer.named_parameters() if parameter.requires_grad] == sorted(trained)
    other = build(f"gated-ssm:{options}", width=8, seed=9)
    other.load_state_dict(mixer.state_dict())
    x = torch.randn(1, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(x), mixer(x))


@each_fast
@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 13])
def test_fast_forms_are_the_recurrence(fast, length):
    given = arguments(length)
    for a, b in zip(outputs_and_gradients(fast, given), outputs_and_gradients(gated_reference, given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@each_fast
@pytest.mark.parametrize("u", ["open", "shut", "both"])
def test_saturated_gates_keep_value_and_gradient(fast, u):
    given = arguments(length=40)
    sign = {"open": 1.0, "shut": -1.0, "both": torch.tensor([1.0, -1.0]).repeat(20)}[u]
    given[3] = (torch.full((2, 40), 200.0, dtype=torch.float64) * sign).requires_grad_()
    for a, b in zip(outputs_and_gradients(fast, given), outputs_and_gradients(gated_reference, given), strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@each_fast
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0, 200.0])
def test_float32_keeps_its_digits_at_any_saturation(fast, scale):
    exact = arguments(length=256, scale=scale)
    given = [tensor.detach().float().requires_grad_() for tensor in exact]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    for a, b in zip(outputs_and_gradients(fast, given), outputs_and_gradients(gated_reference, exact), strict=True):
        assert (a.double() - b).abs().max() < 3e-6 * b.abs().max()


def test_agrees_with_the_packages_minimal_state_space_dual():
    """An outside referee: Mamba-2's SSD with X = sigmoid(u) x and A = logsigmoid(-u) is this block."""
    try:
        ssd = load_privately("mamba_ssm.modules.ssd_minimal").ssd_minimal_discrete
    except ImportError:
        pytest.skip("mamba-ssm is not installed")
    q, k, v, u = (tensor.detach() for tensor in arguments(length=48))
    one_head = (tensor[:, :, None] for tensor in (torch.sigmoid(u)[..., None] * v, F.logsigmoid(-u), k, q))
    expected, _ = ssd(*one_head, block_len=16)
    for scan in (gated_reference, gated_quadratic, gated_chunked):
        torch.testing.assert_close(scan(q, k, v, u), expected[:, :, 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [95, 96])
def test_the_kernel_names_the_form_that_ran(build, length):
    mixer = build("gated-ssm")
    mixer(torch.zeros(1, length, 16, dtype=torch.float64))
    path = "gated chunk 32" if uses_chunks(length, 16) else "gated quadratic"
    assert uses_chunks(length, 16) == (length == 96)
    assert mixer.kernel.startswith("torch ") and mixer.kernel.endswith(f"/{path}")
