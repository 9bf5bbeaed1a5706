"""H3: both state space models against scipy and matrices, convolutions against sums, the layer written out."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops.diagonal_ssm import diagonal_reference, vandermonde_kernel
from harness.architectures.ops.long_conv import direct_convolution, fft_convolution
from harness.architectures.ops.shift_ssm import shift_kernel, shift_reference
from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bilinear_by_scipy(u, a, c, step_size):
    """The outputs for inputs [batch, length] of one channel: real matrices of twice the size, all by scipy."""
    matrix = scipy.linalg.block_diag(*(np.array([[x.real, -x.imag], [x.imag, x.real]]) for x in a.numpy()))
    write = np.tile([[1.0], [0.0]], (len(a), 1))
    read = np.stack([2 * c.numpy().real, -2 * c.numpy().imag], axis=1).reshape(1, -1)
    kept, written = scipy.signal.cont2discrete((matrix, write, read, np.zeros((1, 1))), step_size, "bilinear")[:2]
    outputs, x = [], np.zeros((len(kept), len(u)))
    for token in u.T.numpy():
        x = kept @ x + written * token
        outputs.append((read @ x)[0])
    return torch.from_numpy(np.stack(outputs, axis=1))


@given(length=st.integers(1, 40), taps=st.integers(1, 40), width=st.integers(1, 4))
def test_both_convolutions_are_scipys(length, taps, width):
    taps = min(taps, length)
    u, kernel = tokens(2, length, width), tokens(taps, width, seed=2)
    expected = torch.from_numpy(scipy.signal.fftconvolve(u.numpy(), kernel.numpy()[None], axes=1))[:, :length]
    for convolution in (direct_convolution, fft_convolution):
        torch.testing.assert_close(convolution(u, kernel), expected, rtol=1e-10, atol=1e-11)


@given(length=st.integers(1, 30), state=st.integers(1, 12))
def test_the_shift_is_its_matrix(length, state):
    u, written, read = tokens(2, length, 3), tokens(3, state, seed=2), tokens(3, state, seed=3)
    shift = torch.diag(torch.ones(state - 1).double(), -1)  # A e_i = e_{i+1}
    powers = torch.stack([torch.linalg.matrix_power(shift, lag) for lag in range(length)])
    kernel = torch.einsum("wm,lmn,wn->lw", read, powers, written)
    torch.testing.assert_close(shift_kernel(written, read, length), kernel[:state], rtol=1e-10, atol=1e-12)
    assert kernel[state:].abs().sum() == 0
    expected = direct_convolution(u, kernel)
    torch.testing.assert_close(shift_reference(u, written, read), expected)
    torch.testing.assert_close(fft_convolution(u, shift_kernel(written, read, length)), expected)


def test_the_bilinear_system_is_scipys():
    generator = torch.Generator().manual_seed(0)
    a = torch.complex(-torch.rand(2, 3, generator=generator).double() - 0.1, tokens(2, 3).abs() * 20)
    c, step_size = torch.complex(tokens(2, 3, seed=2), tokens(2, 3, seed=3)), torch.tensor([0.01, 0.1]).double()
    u = tokens(2, 40, 2)
    expected = torch.stack([bilinear_by_scipy(u[:, :, i], a[i], c[i], float(step_size[i])) for i in range(2)], dim=2)
    torch.testing.assert_close(diagonal_reference(u, a, c, step_size, bilinear=True), expected)
    kernel = vandermonde_kernel(a, c, step_size, 40, bilinear=True)
    torch.testing.assert_close(fft_convolution(u, kernel), expected)


def test_a_state_that_keeps_nothing_gives_a_finite_gradient():
    a = torch.full((1, 1), -2.0, dtype=torch.complex128).requires_grad_()  # (1 + Delta A/2) is 0 where Delta is 1
    kernel = vandermonde_kernel(a, torch.ones_like(a), torch.ones(1).double(), 5, bilinear=True)
    torch.testing.assert_close(kernel[:, 0], torch.tensor([1.0, 0, 0, 0, 0]).double())
    assert torch.autograd.grad(kernel.sum(), a)[0].isfinite().all()


@pytest.mark.parametrize("headdim", [1, 2, 4])
def test_the_layer_is_the_papers_written_out(build, headdim):
    mixer, x = build(f"h3:state=6,headdim={headdim}", width=4, perturbed=True), tokens(2, 11, 4)
    a = torch.complex(-torch.exp(mixer.log_decay), mixer.frequency)
    c = torch.complex(mixer.c[..., 0], mixer.c[..., 1])
    with torch.no_grad():
        q, k, v = (x @ mixer.qkv.weight.T + mixer.qkv.bias).split(4, dim=2)
        shifted = mixer.shift_d * k
        for t in range(11):
            for lag in range(min(6, t + 1)):
                tap = (mixer.shift_read[:, lag:] * mixer.shift_written[:, : 6 - lag]).sum(1)
                shifted[:, t] += tap * k[:, t - lag]
        y = torch.zeros_like(x)
        for head in range(4 // headdim):
            channels = range(head * headdim, (head + 1) * headdim)
            step_size = float(mixer.log_step_size[head].exp())
            for one in channels:
                for two in channels:
                    kv = shifted[:, :, one] * v[:, :, two]
                    held = bilinear_by_scipy(kv, a[head], c[head], step_size) + mixer.d[head] * kv
                    y[:, :, two] += q[:, :, one] * held
        expected = y @ mixer.out.weight.T + mixer.out.bias
        for run in (mixer, mixer.reference):
            torch.testing.assert_close(run(x), expected, rtol=1e-9, atol=1e-10)


def test_it_starts_as_published(build):
    mixer = build("h3:headdim=2", width=400)
    assert (
        torch.equal(mixer.shift_written[:, 0], torch.ones(400).double()) and mixer.shift_written[:, 1:].abs().sum() == 0
    )
    bound = 1 / math.sqrt(64)
    assert 0.95 * bound < mixer.shift_read.abs().max() <= bound
    torch.testing.assert_close(
        mixer.frequency, (math.pi * torch.arange(32)).double().expand(200, -1), check_dtype=False
    )
    torch.testing.assert_close(mixer.log_decay.exp(), torch.full((200, 32), 0.5).double())
    steps = mixer.log_step_size.exp()
    assert len(steps) == 200 and 0.001 <= steps.min() < 0.0015 and 0.07 < steps.max() <= 0.1


def test_state_decays_and_cost_are_counted(build):
    mixer = build("h3:state=8,headdim=2", width=12)
    assert mixer.state_size == 12 * 8 + 12 * 2 * 8
    x = tokens(2, 5, 12)
    assert mixer.decays(x).shape == (2, 5, 6, 4) and mixer.decays(x).max() < 1
    assert mixer.uncounted_flops(16) == 3 * build("s4d", width=12).uncounted_flops(16)


@pytest.mark.parametrize("spec, said", [("h3:state=3", "got state=3; give an even"), ("h3:headdim=3", "got headdim=3")])
def test_what_does_not_fit_is_refused_in_one_line(build, spec, said):
    with pytest.raises(UserError, match=said):
        build(spec)
