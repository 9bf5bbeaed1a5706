"""The C++ operators beside the selective scan: the definitions' numbers, for any shape, layout and thread count."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.architectures.ops.causal_conv import CPP as CONV
from harness.architectures.ops.causal_conv import causal_conv
from harness.architectures.ops.gated_average import CPP as AVERAGE
from harness.architectures.ops.gated_average import gated_average_cpp
from harness.architectures.ops.log_scan import gated_average_reference
from harness.architectures.ops.matrix_scan import CPP as SCAN
from harness.architectures.ops.matrix_scan import matrix_scan
from harness.architectures.ops.scalar_scan import CPP as SCALAR
from harness.architectures.ops.scalar_scan import Turn, scalar_scan
from harness.architectures.ops.trapezoidal import of_heads
from harness.architectures.ops.wkv7 import wkv7_reference

pytestmark = pytest.mark.skipif(
    not all(cpp.available() for cpp in (CONV, AVERAGE, SCAN, SCALAR)), reason="no C++ compiler here"
)
TOLERANCE = {torch.float64: 1e-11, torch.float32: 3e-5}
each_type = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


def outputs_and_gradients(function, tensors, dtype):
    tensors = [tensor.to(dtype).detach().requires_grad_() for tensor in tensors]
    y = function(*tensors)
    return [y.detach(), *torch.autograd.grad(y, tensors, normal(*y.shape, seed=7).to(dtype))]


def assert_same(results, expected, tolerance):
    for result, value in zip(results, expected, strict=True):
        assert result.shape == value.shape
        if value.numel():
            assert (result - value).abs().max() <= tolerance * max(float(value.abs().max()), 1)


def scan_inputs(batch, heads, length, keys, values, delta, key_decay):
    """[q, k, v, log_decay] and with `delta` [r, a], whose product takes away at most what is there."""
    q, k, v = (normal(batch, heads, length, size, seed=seed) for seed, size in enumerate((keys, keys, values)))
    log_decay = -normal(batch, heads, length, keys if key_decay else 1, seed=3).abs()
    if not delta:
        return [q, k, v, log_decay]
    removed = F.normalize(normal(batch, heads, length, keys, seed=4), dim=-1)
    return [q, k, v, log_decay, removed, -removed * torch.sigmoid(normal(batch, heads, length, 1, seed=5))]


def scan_reference(q, k, v, log_decay, removed=None, added=None):
    removed, added = (torch.zeros_like(k) if tensor is None else tensor for tensor in (removed, added))
    return wkv7_reference(q, k, v, log_decay.expand_as(k), removed, added)


sizes = given(
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 2, 15, 16, 17, 33]),
    keys=st.sampled_from([1, 2, 3, 8, 12, 16, 19]),
    values=st.sampled_from([1, 3, 8, 16, 17, 33]),
    dtype=st.sampled_from(list(TOLERANCE)),
    heads=st.integers(1, 3),
    form=st.data(),
)


def assert_the_same_operator(function, reference, tensors, dtype):
    """Outputs and gradients, and nothing is kept for a gradient where there is none."""
    expected = outputs_and_gradients(reference, tensors, torch.float64)
    results = outputs_and_gradients(function, tensors, dtype)
    assert_same(results, expected, TOLERANCE[dtype])
    with torch.no_grad():
        assert torch.equal(function(*(tensor.to(dtype) for tensor in tensors)), results[0])


@settings(max_examples=40)
@sizes
def test_the_matrix_scan_is_the_recurrence(batch, heads, length, keys, values, dtype, form):
    delta, key_decay = form.draw(st.sampled_from([(False, True), (True, False), (True, True)]))
    tensors = scan_inputs(batch, heads, length, keys, values, delta, key_decay)
    assert_the_same_operator(matrix_scan, scan_reference, tensors, dtype)


def scalar_inputs(batch, groups, heads, length, keys, values, weighed, angles):
    """[q, k, v, log_decay], with `weighed` [u, d], and where angles are not None [biases of q and k, angles]."""
    q, k = (normal(batch, groups, length, keys, seed=seed) for seed in (0, 1))
    v, log_decay = normal(batch, heads, length, values, seed=2), -normal(batch, heads, length, seed=3).abs()
    weights = [normal(batch, heads, length, seed=seed) for seed in (4, 5)] if weighed else []
    if angles is None:
        return [q, k, v, log_decay, *weights]
    biases = [normal(heads, keys, seed=seed) for seed in (6, 7)]
    return [q, k, v, log_decay, *weights, *biases, normal(batch, heads, length, angles, seed=8)]


def in_order(function):
    """With tensors alone, as `scalar_inputs` gives them."""

    def run(q, k, v, log_decay, *others):
        weights = others[:2] if len(others) in (2, 5) else (None, None)
        return function(q, k, v, log_decay, *weights, Turn(*others[-3:]) if len(others) > 2 else None)

    return run


@in_order
def scalar_reference(q, k, v, log_decay, weight, own, turn):
    """Step by step, from the definition."""
    q, k = of_heads(q, k, turn)
    q, k = (each.repeat_interleave(v.shape[1] // each.shape[1], dim=1) for each in (q, k))
    weight, own = (torch.ones_like(log_decay) if each is None else each for each in (weight, own))
    state, outputs = v.new_zeros(*v.shape[:2], k.shape[3], v.shape[3]), []
    for t in range(v.shape[2]):
        outer = k[:, :, t, :, None] * v[:, :, t, None]
        state = log_decay[:, :, t, None, None].exp() * state + weight[:, :, t, None, None] * outer
        read = state + (own - weight)[:, :, t, None, None] * outer
        outputs.append((q[:, :, t, None] @ read)[:, :, 0])
    return torch.stack(outputs, dim=2)


each_scalar_form = in_order(scalar_scan)


@settings(max_examples=60)
@sizes
def test_the_scalar_scan_is_the_recurrence(batch, heads, length, keys, values, dtype, form):
    turns = form.draw(st.booleans())
    groups = 1 if turns else form.draw(st.integers(1, 3))
    angles = form.draw(st.integers(0, keys // 2)) if turns else None
    tensors = scalar_inputs(batch, groups, groups * heads, length, keys, values, form.draw(st.booleans()), angles)
    assert_the_same_operator(each_scalar_form, scalar_reference, tensors, dtype)


@each_type
def test_scalar_decays_that_shut_and_that_never_decay_stay_exact(dtype):
    tensors = scalar_inputs(2, 2, 2, 40, 8, 8, False, None)
    tensors[3] = torch.where(tensors[3] < -1, -1e4, tensors[3] / 1e3).to(torch.float64)
    assert_the_same_operator(each_scalar_form, scalar_reference, tensors, dtype)


@pytest.mark.parametrize("place", range(9))
def test_nan_comes_out_of_the_scalar_scan(place):
    tensors = scalar_inputs(1, 1, 2, 20, 4, 5, True, 2)
    tensors[place].view(-1)[0] = torch.nan
    assert each_scalar_form(*tensors).isnan().any()


@pytest.mark.parametrize("place", range(4))
def test_the_scalar_scan_looks_at_nothing_that_comes_later(place):
    """Not even at what is no number, as far as its tiles reach."""
    tensors = scalar_inputs(1, 1, 2, 40, 4, 5, False, None)
    before = each_scalar_form(*tensors)
    tensors[place][:, :, 32:] = torch.nan
    assert torch.equal(each_scalar_form(*tensors)[:, :, :32], before[:, :, :32])


@pytest.mark.parametrize("weighed, angles", [(False, None), (True, None), (False, 2), (True, 1)])
def test_gradients_of_the_scalar_scan_are_limits_of_differences(weighed, angles):
    tensors = scalar_inputs(1, 1, 2, 18, 4, 3, weighed, angles)
    assert torch.autograd.gradcheck(each_scalar_form, [tensor.requires_grad_() for tensor in tensors])


@each_type
def test_decays_that_shut_and_that_never_decay_stay_exact(dtype):
    tensors = scan_inputs(2, 2, 40, 8, 8, True, True)
    tensors[3] = torch.where(tensors[3] < -1, -1e4, 0.0).to(torch.float64)
    expected = outputs_and_gradients(scan_reference, tensors, torch.float64)
    assert_same(outputs_and_gradients(matrix_scan, tensors, dtype), expected, TOLERANCE[dtype])


def test_keys_that_fill_no_vector_stay_exact_over_many_chunks():
    tensors = scan_inputs(1, 1, 200, 3, 5, True, True)  # 13 chunks
    expected = outputs_and_gradients(scan_reference, tensors, torch.float64)
    assert_same(outputs_and_gradients(matrix_scan, tensors, torch.float64), expected, 1e-11)


@pytest.mark.parametrize("place", range(6))
def test_nan_comes_out_of_the_matrix_scan(place):
    tensors = scan_inputs(1, 2, 20, 3, 5, True, True)
    tensors[place].view(-1)[0] = torch.nan
    assert matrix_scan(*tensors).isnan().any()


@pytest.mark.parametrize("delta, key_decay", [(False, True), (True, False), (True, True)])
def test_gradients_of_the_matrix_scan_are_limits_of_differences(delta, key_decay):
    tensors = [tensor.requires_grad_() for tensor in scan_inputs(1, 2, 18, 2, 3, delta, key_decay)]
    assert torch.autograd.gradcheck(matrix_scan, tensors)


def convolution(channels, taps, bias):
    conv = torch.nn.Conv1d(channels, channels, taps, groups=channels, padding=taps - 1, bias=bias)
    return conv.to(torch.float64)


def convolved(function, conv, x, dtype, silu=True):
    conv = conv.to(dtype)
    x = x.to(dtype).detach().requires_grad_()
    y = function(x, conv, silu)
    return [y.detach(), *torch.autograd.grad(y, [x, *conv.parameters()], normal(*y.shape, seed=7).to(dtype))]


def conv_reference(x, conv, silu=True):
    """The sum as the module's docstring has it, tap by tap."""
    taps, length = conv.weight.shape[2], x.shape[1]
    earlier = F.pad(x, (0, 0, taps - 1, 0))
    summed = sum(conv.weight[:, 0, j] * earlier[:, j : j + length] for j in range(taps))
    summed = summed if conv.bias is None else summed + conv.bias
    return F.silu(summed) if silu else summed


@settings(max_examples=30)
@given(
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 2, 5, 127, 128, 129, 260]),
    channels=st.sampled_from([1, 3, 8, 17, 32]),
    taps=st.sampled_from([1, 2, 3, 4, 5, 9]),
    bias=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
    sliced=st.booleans(),
    silu=st.booleans(),
)
def test_the_convolution_is_its_sum(batch, length, channels, taps, bias, dtype, sliced, silu):
    x = normal(batch, length, channels + 3)[..., 2:-1] if sliced else normal(batch, length, channels)
    conv = convolution(channels, taps, bias)
    expected = convolved(conv_reference, conv, x, torch.float64, silu)
    assert_same(convolved(causal_conv, conv, x, dtype, silu), expected, TOLERANCE[dtype])


@settings(max_examples=30)
@given(
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 2, 40]),
    channels=st.sampled_from([1, 3, 8, 17, 32]),
    size=st.sampled_from([1.0, 30.0, 1000.0]),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_the_gated_average_is_its_recurrence(batch, length, channels, size, dtype):
    tensors = [size * normal(batch, length, channels), normal(batch, length, channels, seed=1)]
    expected = outputs_and_gradients(gated_average_reference, [t.to(dtype) for t in tensors], torch.float64)
    assert_same(outputs_and_gradients(gated_average_cpp, tensors, dtype), expected, TOLERANCE[dtype])


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


CASES = {
    "matrix": lambda dtype: outputs_and_gradients(matrix_scan, scan_inputs(5, 6, 70, 16, 24, False, True), dtype),
    "delta": lambda dtype: outputs_and_gradients(matrix_scan, scan_inputs(5, 4, 70, 16, 24, True, True), dtype),
    "scalar": lambda dtype: outputs_and_gradients(
        each_scalar_form, scalar_inputs(5, 2, 6, 70, 16, 24, True, None), dtype
    ),
    "turned": lambda dtype: outputs_and_gradients(
        each_scalar_form, scalar_inputs(5, 1, 6, 70, 16, 24, True, 4), dtype
    ),
    "convolution": lambda dtype: convolved(
        causal_conv, convolution_of_ones(), normal(7, 300, 130), dtype
    ),
    "average": lambda dtype: outputs_and_gradients(
        gated_average_cpp, [normal(9, 300, 130), normal(9, 300, 131)[..., 1:]], dtype
    ),
}  # fmt: skip


def convolution_of_ones():
    conv = convolution(130, 4, True)
    for parameter in conv.parameters():
        torch.nn.init.ones_(parameter)
    return conv


@each_type
@pytest.mark.parametrize("case", CASES)
def test_the_number_of_threads_changes_no_bit(threads, case, dtype):
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(CASES[case](dtype))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))
