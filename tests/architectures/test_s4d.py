"""S4D: its discretization and recurrence against scipy, the kernel against them, the layer written out."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harness.architectures.ops.diagonal_ssm import diagonal_convolution, diagonal_reference, vandermonde_kernel
from harness.contracts.errors import UserError


def system(width=3, state=4, seed=0, frequency=10.0):
    """(A, C, Delta) with step sizes over the published range."""
    generator = torch.Generator().manual_seed(seed)
    real, imaginary = -torch.rand(width, state, generator=generator).double() - 0.1, torch.rand(width, state).double()
    c = torch.randn(width, state, dtype=torch.complex128, generator=generator)
    return torch.complex(real, frequency * imaginary), c, torch.logspace(-3, -1, width).double()


def inputs(length, width=3, seed=1):
    return torch.randn(2, length, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def simulated_by_scipy(u, a, c, step_size):
    """Real matrices of twice the size, their zero-order hold and their simulation, all by scipy."""
    outputs = np.empty(u.shape)
    for channel in range(u.shape[2]):
        blocks = [np.array([[x.real, -x.imag], [x.imag, x.real]]) for x in a[channel].numpy()]
        matrix = np.zeros((2 * len(blocks), 2 * len(blocks)))
        for number, block in enumerate(blocks):
            matrix[2 * number : 2 * number + 2, 2 * number : 2 * number + 2] = block
        write = np.tile([[1.0], [0.0]], (len(blocks), 1))
        read = np.stack([2 * c[channel].numpy().real, -2 * c[channel].numpy().imag], axis=1).reshape(1, -1)
        continuous = (matrix, write, read, np.zeros((1, 1)))
        kept, written, read, _, _ = scipy.signal.cont2discrete(continuous, float(step_size[channel]), method="zoh")
        for row in range(len(u)):
            # scipy reads the state before it writes the input; the layer reads what it has just written.
            x = np.zeros(len(kept))
            for step in range(u.shape[1]):
                x = kept @ x + written[:, 0] * float(u[row, step, channel])
                outputs[row, step, channel] = (read @ x)[0]
    return torch.from_numpy(outputs)


@pytest.mark.parametrize("run", [diagonal_reference, diagonal_convolution])
def test_it_is_scipys_zero_order_hold(run):
    u, parts = inputs(40), system()
    torch.testing.assert_close(run(u, *parts), simulated_by_scipy(u, *parts), rtol=1e-9, atol=1e-10)


def test_the_kernel_is_the_answer_to_an_impulse_and_the_convolution_torchs():
    parts, length = system(), 25
    impulse = torch.zeros(1, length, 3, dtype=torch.float64)
    impulse[:, 0] = 1
    kernel = vandermonde_kernel(*parts, length)
    torch.testing.assert_close(diagonal_reference(impulse, *parts)[0], kernel)
    u = inputs(length)
    padded = F.pad(u.transpose(1, 2), (length - 1, 0))
    expected = F.conv1d(padded, kernel.T.flip(1)[:, None], groups=3).transpose(1, 2)
    torch.testing.assert_close(diagonal_convolution(u, *parts), expected)


@given(
    length=st.integers(1, 70),
    width=st.integers(1, 5),
    state=st.integers(1, 6),
    frequency=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
)
def test_the_convolution_is_the_recurrence(length, width, state, frequency):
    u, parts = inputs(length, width), system(width, state, frequency=frequency)
    torch.testing.assert_close(diagonal_convolution(u, *parts), diagonal_reference(u, *parts), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("initialization", ["linear", "inverse"])
def test_the_layer_is_the_papers_written_out(build, initialization):
    mixer = build(f"s4d:state=6,initialization={initialization}", width=4, perturbed=True)
    x = inputs(12, 4)
    a = torch.complex(-torch.exp(mixer.log_decay), mixer.frequency)
    c = torch.complex(mixer.c[..., 0], mixer.c[..., 1])
    with torch.no_grad():
        ssm = simulated_by_scipy(x, a.detach(), c.detach(), torch.exp(mixer.log_step_size).detach())
        value, gate = (F.gelu(ssm + mixer.d * x) @ mixer.out.weight.T + mixer.out.bias).split(4, dim=2)
        for run in (mixer, mixer.reference):
            torch.testing.assert_close(run(x), value * torch.sigmoid(gate), rtol=1e-9, atol=1e-10)


def test_it_starts_as_published(build):
    linear, inverse = build("s4d", width=500), build("s4d:initialization=inverse", width=500)
    n = torch.arange(32, dtype=torch.float32)
    for mixer, imaginary in ((linear, math.pi * n), (inverse, 64 / math.pi * (64 / (2 * n + 1) - 1))):
        torch.testing.assert_close(mixer.frequency, imaginary.double().expand(500, -1))
        torch.testing.assert_close(mixer.log_decay.exp(), torch.full((500, 32), 0.5, dtype=torch.float64))
    steps = linear.log_step_size.exp()
    assert 0.001 <= steps.min() < 0.0012 and 0.08 < steps.max() <= 0.1
    assert abs(steps.log().median() - math.log(0.01)) < 0.3  # uniform in the logarithm
    assert abs(linear.c.square().sum(-1).mean() - 1) < 0.05


def test_the_real_part_stays_negative_wherever_training_goes(build):
    mixer, x = build("s4d"), inputs(200, 16)
    with torch.no_grad():
        mixer.log_decay.fill_(-30)
        assert mixer(x).isfinite().all()
        mixer.log_decay.fill_(30)
        assert mixer(x).isfinite().all()


@pytest.mark.parametrize("initialization", ["linear", "inverse"])
def test_high_frequencies_keep_their_digits_over_a_long_sequence(build, initialization):
    mixer, x = build(f"s4d:initialization={initialization}"), inputs(4000, 16).float()
    mixer = mixer.float()
    expected = mixer.reference(x)
    mixed = mixer(x)
    assert (mixed - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_decay_is_what_is_left_of_the_state_after_a_step(build):
    mixer, x = build("s4d:state=2", width=3), torch.zeros(2, 5, 3, dtype=torch.float64)
    decays = mixer.decays(x)
    assert decays.shape == (2, 5, 3, 1)
    torch.testing.assert_close(decays[0, 0, :, 0], torch.exp(-0.5 * torch.exp(mixer.log_step_size)))


def test_poles_and_steps_do_not_decay_in_the_optimizer(build):
    mixer = build("s4d")
    kept = {name for name, p in mixer.named_parameters() if p.ndim < 2 or getattr(p, "_no_weight_decay", False)}
    assert kept == {"log_decay", "frequency", "log_step_size", "d", "out.bias"}


def test_the_state_is_counted(build):
    assert build("s4d:state=8", width=12).state_size == 96


def test_an_odd_state_is_refused_in_one_line(build):
    with pytest.raises(UserError, match="s4d: .*got state=3; give an even number"):
        build("s4d:state=3")


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("s4d"), inputs(300, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())
