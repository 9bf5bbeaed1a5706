"""The selective scan: every path is the plainest loop."""

import pytest
import torch

from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops import torch_loop
from harness.architectures.ops.selective_scan import last_path, selective_scan, selective_scan_reference
from harness.architectures.ops.selective_scan_cpp import cpp_available

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def arguments(batch=2, channels=3, length=9, state=4, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    sequences = [normal(batch, channels, length) for _ in range(2)]
    maps = [normal(batch, state, length) for _ in range(2)]
    A = -torch.exp(normal(channels, state))
    tensors = [*sequences, A, *maps, normal(channels), normal(batch, channels, length), normal(channels)]
    return {name: tensor.requires_grad_() for name, tensor in zip(NAMES, tensors, strict=True)}


def outputs_and_gradients(scan, given, **options):
    y = scan(**given, **options)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(y.dtype)
    return [y, *torch.autograd.grad((y * direction).sum(), list(given.values()))]


@pytest.fixture
def torch_loop_only(monkeypatch):
    monkeypatch.setenv("HARNESS_NO_CPP", "1")


@pytest.fixture(params=["cpp", "torch loop"])
def path(request, monkeypatch):
    """Runs the test once on each path, and holds that it was taken."""
    if request.param == "torch loop":
        monkeypatch.setenv("HARNESS_NO_CPP", "1")
    elif not cpp_available():
        pytest.skip("no C++ compiler here")
    yield request.param
    assert last_path() == request.param


@pytest.mark.parametrize("softplus, signed", [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("length", [1, 2, 9, 40])
@pytest.mark.parametrize("block_elements", [1, 100, 1 << 18], ids=["one step a block", "some", "one block"])
def test_the_torch_loop_is_the_reference(monkeypatch, torch_loop_only, softplus, signed, length, block_elements):
    monkeypatch.setattr(torch_loop, "BLOCK_ELEMENTS", block_elements)
    given = arguments(length=length)
    if not softplus:  # then delta is the step size itself and stays positive
        given["delta"] = given["delta"].detach().abs().requires_grad_()
        given["delta_bias"] = given["delta_bias"].detach().abs().requires_grad_()
    options = {"delta_softplus": softplus, "signed": signed}
    fast = outputs_and_gradients(selective_scan, given, **options)
    plain = outputs_and_gradients(selective_scan_reference, given, **options)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    with torch.no_grad():  # without states kept
        torch.testing.assert_close(selective_scan(**given, **options), plain[0], rtol=1e-10, atol=1e-12)
    assert last_path() == "torch loop"


def test_gradient_is_the_limit_of_differences(path):
    given = arguments(batch=2, channels=2, length=4, state=3)
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a, True), tuple(given.values()))


def test_options_may_be_left_out(path):
    given = {name: tensor for name, tensor in arguments().items() if name in NAMES[:5]}
    fast, plain = (outputs_and_gradients(scan, given) for scan in (selective_scan, selective_scan_reference))
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_large_steps_forget_without_nan(path):
    given = arguments(dtype=torch.float32)
    given["delta"] = (given["delta"].detach().abs() * 1e4).requires_grad_()
    assert all(result.isfinite().all() for result in outputs_and_gradients(selective_scan, given))


def test_half_precision_is_computed_in_float32_and_returned_as_it_came(path):
    given = arguments(dtype=torch.bfloat16)
    y = selective_scan(**given)
    exact = selective_scan(**{name: tensor.float() for name, tensor in given.items()})
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, exact.bfloat16())


def test_is_the_packages_own_reference(path):
    try:
        package = load_privately("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        pytest.skip("mamba-ssm is not installed")
    given = arguments(batch=3, channels=5, length=20, state=16, dtype=torch.float32)
    theirs = outputs_and_gradients(package.selective_scan_ref, given, delta_softplus=True)
    for scan in (selective_scan, selective_scan_reference):
        for a, b in zip(outputs_and_gradients(scan, given, delta_softplus=True), theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
