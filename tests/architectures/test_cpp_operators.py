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
from harness.architectures.ops.wkv7 import wkv7_reference

pytestmark = pytest.mark.skipif(
    not all(cpp.available() for cpp in (CONV, AVERAGE, SCAN)), reason="no C++ compiler here"
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
        assert (result - value).abs().max() <= tolerance * max(float(value.abs().max()), 1)


def scan_inputs(batch, groups, heads, length, keys, values, delta, key_decay):
    """[q, k, v, log_decay] and with `delta` [r, a], whose product takes away at most what is there."""
    q, k, v = (normal(batch, h, length, n, seed=s) for s, (h, n) in enumerate([(groups, keys)] * 2 + [(heads, values)]))
    log_decay = -normal(batch, heads, length, keys if key_decay else 1, seed=3).abs()
    if not delta:
        return [q, k, v, log_decay]
    removed = F.normalize(normal(batch, heads, length, keys, seed=4), dim=-1)
    return [q, k, v, log_decay, removed, -removed * torch.sigmoid(normal(batch, heads, length, 1, seed=5))]


def scan_reference(q, k, v, log_decay, removed=None, added=None):
    heads = v.shape[1]
    q, k = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (q, k))
    nothing = torch.zeros_like(k)
    return wkv7_reference(
        q,
        k,
        v,
        log_decay.expand(*v.shape[:3], k.shape[3]),
        nothing if removed is None else removed,
        nothing if added is None else added,
    )


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    heads=st.integers(1, 3),
    length=st.sampled_from([1, 2, 15, 16, 17, 33]),
    keys=st.sampled_from([1, 2, 3, 8, 12, 16, 19]),
    values=st.sampled_from([1, 3, 8, 16, 17, 33]),
    delta=st.booleans(),
    key_decay=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_the_matrix_scan_is_the_recurrence(batch, groups, heads, length, keys, values, delta, key_decay, dtype):
    if delta or key_decay:
        heads = 1  # of a group
    tensors = scan_inputs(batch, groups, groups * heads, length, keys, values, delta, key_decay)
    expected = outputs_and_gradients(scan_reference, tensors, torch.float64)
    assert_same(outputs_and_gradients(matrix_scan, tensors, dtype), expected, TOLERANCE[dtype])
    with torch.no_grad():  # nothing is kept for a gradient then
        y = matrix_scan(*(tensor.to(dtype) for tensor in tensors))
    assert torch.equal(y, outputs_and_gradients(matrix_scan, tensors, dtype)[0])


@each_type
def test_decays_that_shut_and_that_never_decay_stay_exact(dtype):
    tensors = scan_inputs(2, 2, 2, 40, 8, 8, True, True)
    tensors[3] = torch.where(tensors[3] < -1, -1e4, 0.0).to(torch.float64)
    expected = outputs_and_gradients(scan_reference, tensors, torch.float64)
    assert_same(outputs_and_gradients(matrix_scan, tensors, dtype), expected, TOLERANCE[dtype])


def test_keys_that_fill_no_vector_stay_exact_over_many_chunks():
    tensors = scan_inputs(1, 1, 1, 200, 3, 5, True, True)  # 13 chunks
    expected = outputs_and_gradients(scan_reference, tensors, torch.float64)
    assert_same(outputs_and_gradients(matrix_scan, tensors, torch.float64), expected, 1e-11)


@pytest.mark.parametrize("place", range(6))
def test_nan_comes_out_of_the_matrix_scan(place):
    tensors = scan_inputs(1, 2, 2, 20, 3, 5, True, True)
    tensors[place].view(-1)[0] = torch.nan
    assert matrix_scan(*tensors).isnan().any()


@pytest.mark.parametrize("delta, key_decay", [(False, False), (False, True), (True, False), (True, True)])
def test_gradients_of_the_matrix_scan_are_limits_of_differences(delta, key_decay):
    tensors = [tensor.requires_grad_() for tensor in scan_inputs(1, 2, 2, 18, 2, 3, delta, key_decay)]
    assert torch.autograd.gradcheck(matrix_scan, tensors)


def convolution(channels, taps, bias):
    conv = torch.nn.Conv1d(channels, channels, taps, groups=channels, padding=taps - 1, bias=bias)
    return conv.to(torch.float64)


def convolved(function, conv, x, dtype):
    conv = conv.to(dtype)
    x = x.to(dtype).detach().requires_grad_()
    y = function(x, conv)
    return [y.detach(), *torch.autograd.grad(y, [x, *conv.parameters()], normal(*y.shape, seed=7).to(dtype))]


def conv_reference(x, conv):
    """The sum as the module's docstring has it, tap by tap."""
    taps, length = conv.weight.shape[2], x.shape[1]
    earlier = F.pad(x, (0, 0, taps - 1, 0))
    summed = sum(conv.weight[:, 0, j] * earlier[:, j : j + length] for j in range(taps))
    return F.silu(summed if conv.bias is None else summed + conv.bias)


@settings(max_examples=30)
@given(
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 2, 5, 127, 128, 129, 260]),
    channels=st.sampled_from([1, 3, 8, 17, 32]),
    taps=st.sampled_from([1, 2, 3, 4, 5, 9]),
    bias=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
    sliced=st.booleans(),
)
def test_the_convolution_is_its_sum(batch, length, channels, taps, bias, dtype, sliced):
    x = normal(batch, length, channels + 3)[..., 2:-1] if sliced else normal(batch, length, channels)
    conv = convolution(channels, taps, bias)
    expected = convolved(conv_reference, conv, x, torch.float64)
    assert_same(convolved(causal_conv, conv, x, dtype), expected, TOLERANCE[dtype])


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
    "scan": lambda dtype: outputs_and_gradients(matrix_scan, scan_inputs(5, 2, 6, 70, 16, 24, False, False), dtype),
    "delta": lambda dtype: outputs_and_gradients(matrix_scan, scan_inputs(5, 4, 4, 70, 16, 24, True, True), dtype),
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
