"""The C++ scan: the same numbers as the plainest loop, whatever the shape, layout, options and number of threads."""

import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.architectures.ops import selective_scan_cpp as kernel
from harness.architectures.ops.selective_scan import last_path, selective_scan, selective_scan_reference

pytestmark = pytest.mark.skipif(not kernel.cpp_available(), reason="no C++ compiler here")

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


def arguments(batch, channels, length, state, left_out=(), innermost="length", seed=0):
    """float64 tensors; delta is positive, so that it serves as the step size with and without the softplus."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def sequence(lanes):
        if innermost == "length":
            return normal(batch, lanes, length)
        if innermost == "lanes":
            return normal(batch, length, lanes).transpose(1, 2)
        return normal(batch, length, 2 * lanes + 1)[..., 1::2].transpose(1, 2)  # a slice, neither innermost

    values = (
        sequence(channels),
        sequence(channels).abs(),
        -torch.exp(normal(channels, state)),
        sequence(state),
        sequence(state),
        normal(channels),
        sequence(channels),
        normal(channels).abs(),
    )
    return {name: value for name, value in zip(NAMES, values, strict=True) if name not in left_out}


def outputs_and_gradients(scan, values, dtype, softplus, direction=None, signed=False):
    values = {name: value.to(dtype).detach().requires_grad_() for name, value in values.items()}
    y = scan(**values, delta_softplus=softplus, signed=signed)
    if direction is None:
        direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    gradients = torch.autograd.grad(y, list(values.values()), direction.to(dtype).expand_as(y))
    return {"y": y.detach(), **dict(zip(values, gradients, strict=True))}


def assert_near(results, expected, tolerance):
    for name, value in expected.items():
        assert results[name].shape == value.shape
        error = (results[name] - value).abs().max()
        # Sums of many terms may cancel: values of order 1 go in, so 1 is the least scale of what errors come from.
        assert error <= tolerance * max(value.abs().max(), 1), f"{name} errs by {error:.1e}"


@settings(max_examples=60)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 130]),
    length=st.sampled_from([1, 2, 15, 16, 17, 32, 33, 50]),
    state=st.sampled_from([1, 2, 3, 4, 5, 8, 16, 19]),
    left_out=st.sets(st.sampled_from(["D", "z", "delta_bias"])),
    softplus=st.booleans(),
    innermost=st.sampled_from(["length", "lanes", "neither"]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    signed=st.booleans(),
)
def test_is_the_reference(batch, channels, length, state, left_out, softplus, innermost, dtype, signed):
    values = arguments(batch, channels, length, state, left_out, innermost)
    expected = outputs_and_gradients(selective_scan_reference, values, torch.float64, softplus, signed=signed)
    results = outputs_and_gradients(selective_scan, values, dtype, softplus, signed=signed)
    assert last_path() == "cpp"
    assert_near(results, expected, TOLERANCE[dtype])
    with torch.no_grad():  # nothing is kept for a gradient then
        given = {name: value.to(dtype) for name, value in values.items()}
        y = selective_scan(**given, delta_softplus=softplus, signed=signed)
    assert torch.equal(y, results["y"])


def test_a_gradient_that_is_one_number_expanded():
    values = arguments(2, 20, 18, 4)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    expected, results = (
        outputs_and_gradients(scan, values, torch.float64, True, one)
        for scan in (selective_scan_reference, selective_scan)
    )
    assert_near(results, expected, 1e-10)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("size", [1e-30, 1e-5, 50.0, 1e4])
def test_tiny_and_huge_steps_stay_finite_and_exact(dtype, softplus, size):
    values = arguments(2, 9, 20, 5)
    values["delta"] = values["delta"] * size
    values["delta_bias"] = values["delta_bias"] * size
    expected = outputs_and_gradients(selective_scan_reference, values, torch.float64, softplus)
    results = outputs_and_gradients(selective_scan, values, dtype, softplus)
    assert all(result.isfinite().all() for result in results.values())
    assert_near(results, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("exponent", [-200.0, -127.0, -126.0, -125.0, -124.0])
def test_one_step_beyond_the_range_that_needs_no_clamp(dtype, exponent):
    """A block of channels and steps takes another path when one exponent in it is large; its neighbours do not."""
    values = arguments(1, 40, 70, 3)
    values["A"] = -torch.ones_like(values["A"])
    values["delta"] = values["delta"].clamp(max=1.0)
    values["delta"][0, 20, 40] = -exponent * math.log(2)
    expected = outputs_and_gradients(selective_scan_reference, values, torch.float64, softplus=False)
    results = outputs_and_gradients(selective_scan, values, dtype, softplus=False)
    assert_near(results, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", ["delta", "z"])
def test_saturated_softplus_and_gate_stay_finite_and_exact(dtype, name):
    values = arguments(2, 9, 20, 5)
    values[name] = torch.linspace(-1000, 1000, values[name].numel(), dtype=torch.float64).view_as(values[name])
    expected = outputs_and_gradients(selective_scan_reference, values, torch.float64, True)
    results = outputs_and_gradients(selective_scan, values, dtype, True)
    assert all(result.isfinite().all() for result in results.values())
    assert_near(results, expected, TOLERANCE[dtype])


def test_softplus_keeps_its_digits_where_it_is_small():
    """One step of one channel a sequence is softplus(delta) here, compared relative to itself, not to the largest."""
    delta = torch.linspace(-80, 30, 5000, dtype=torch.float64)[:, None, None]
    for dtype, tolerance in ((torch.float64, 1e-15), (torch.float32, 1e-6)):
        given, one = delta.to(dtype), torch.ones(5000, 1, 1, dtype=dtype)
        y = selective_scan(one, given, -one[0], one, one, delta_softplus=True)
        expected = torch.nn.functional.softplus(given.double())
        assert ((y - expected) / expected).abs().max() < tolerance


@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "C", "z"])
def test_nan_comes_out_again(name):
    values = {key: value.float() for key, value in arguments(1, 3, 5, 2).items()}
    values[name].view(-1)[0] = torch.nan
    assert selective_scan(**values, delta_softplus=True).isnan().any()


def test_growing_states_overflow_to_infinity():
    values = {key: value.float() for key, value in arguments(1, 2, 40, 2, left_out=("z",)).items()}
    y = selective_scan(**{**values, "A": -100 * values["A"]})
    assert not y.isfinite().all()


@pytest.mark.parametrize("softplus, signed", [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("left_out", [(), ("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")], ids=str)
def test_gradient_is_the_limit_of_differences(softplus, signed, left_out):
    values = {name: value.requires_grad_() for name, value in arguments(2, 2, 18, 3, left_out).items()}

    def scan(*tensors):
        return selective_scan(**dict(zip(values, tensors, strict=True)), delta_softplus=softplus, signed=signed)

    assert torch.autograd.gradcheck(scan, tuple(values.values()))


def test_a_second_derivative_is_refused():
    values = {name: value.requires_grad_() for name, value in arguments(1, 2, 3, 2).items()}
    first = torch.autograd.grad(selective_scan(**values).sum(), values["u"], create_graph=True)[0]
    with pytest.raises(RuntimeError):
        first.sum().backward()


@pytest.mark.parametrize("left_out", [(), ("D", "z", "delta_bias")], ids=["all", "least"])
def test_the_operators_keep_torchs_contract(left_out):
    values = arguments(2, 32, 5, 3, left_out)
    tensors = [values.get(name) for name in NAMES]
    wanting = [None if tensor is None else tensor.clone().requires_grad_() for tensor in tensors]
    torch.library.opcheck(kernel._forward, (*wanting, True, True, True))
    torch.library.opcheck(kernel._forward, (*tensors, True, False, False))
    y, states = kernel._forward(*tensors, True, True, True)
    torch.library.opcheck(kernel._backward, (torch.ones_like(y), states, *tensors, True, True))


COMPILE = """
import torch
from harness.architectures.ops.selective_scan import last_path, selective_scan

torch.manual_seed(0)
u, delta, z = torch.randn(3, 2, 20, 18).unbind()
B, C = torch.randn(2, 2, 4, 18).unbind()
given = [u, delta, -torch.rand(20, 4), B, C, torch.randn(20), z, torch.randn(20)]
given = [tensor.detach().requires_grad_() for tensor in given]
for scan in (selective_scan, torch.compile(selective_scan, fullgraph=True, backend="BACKEND")):
    y = scan(*given, True)
    results = [y, *torch.autograd.grad((y**2).sum(), given)]
    assert last_path() == "cpp"
    expected = results if scan is selective_scan else expected
for result, value in zip(results, expected, strict=True):
    torch.testing.assert_close(result, value)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiles_without_a_break(backend, tmp_path):
    """In its own process: the tests' checks of shapes are what torch.compile cannot see through."""
    code = COMPILE.replace("BACKEND", backend)
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(3, 130, 50, 16), (1, 200, 70, 16), (40, 5, 33, 16)], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_number_of_threads_changes_no_bit(threads, shape, dtype):
    values = arguments(*shape)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(outputs_and_gradients(selective_scan, values, dtype, True))
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(value, other[name]), name
