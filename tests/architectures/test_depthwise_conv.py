"""The short convolution: scipy's filter, and a window of exactly so many taps."""

import pytest
import scipy.signal
import torch


def tokens(length, width=5):
    return torch.randn(2, length, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("taps, length", [(2, 1), (4, 3), (4, 30), (40, 9)])
def test_every_channel_is_scipys_filter_then_silu_then_the_projection(build, taps, length):
    mixer, x = build(f"depthwise-conv:taps={taps}", width=5, perturbed=True), tokens(length)
    filtered = torch.empty_like(x)
    for channel in range(5):
        response = mixer.filter.weight[channel, 0].detach().flip(0).numpy()  # the last tap is the step's own
        filtered[:, :, channel] = torch.from_numpy(
            scipy.signal.lfilter(response, [1], x[:, :, channel].numpy(), axis=1)
        )
    filtered = filtered + mixer.filter.bias
    expected = (filtered / (1 + torch.exp(-filtered))) @ mixer.out.weight.T
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("taps", [2, 4, 7])
def test_a_step_is_seen_for_as_many_steps_as_there_are_taps(build, taps):
    mixer, x = build(f"depthwise-conv:taps={taps}", width=5), tokens(30)
    changed = x.clone()
    changed[:, 10] += 1
    moved = (mixer(x) - mixer(changed)).abs().amax((0, 2)) > 1e-9
    assert moved.nonzero().flatten().tolist() == list(range(10, 10 + taps))


def test_what_the_next_step_still_sees_is_counted_as_state(build):
    assert build("depthwise-conv", width=12).state_size == 36


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("depthwise-conv"), tokens(50, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())
