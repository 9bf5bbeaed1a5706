"""Retention: the layer against the paper's three forms written out."""

import pytest
import torch

from harness.contracts.errors import UserError


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turned(x):
    """Pairs (i, i + channels/2) as complex numbers, times e^(i n theta)."""
    length, channels = x.shape
    theta = 10_000.0 ** -(torch.arange(channels // 2, dtype=torch.float64) / (channels // 2))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * theta
    return torch.complex(*x.chunk(2, dim=1)) * torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize("heads, expand", [(1, 1), (2, 2), (4, 3)])
def test_the_layer_is_the_papers_parallel_form(build, heads, expand):
    mixer = build(f"retnet:heads={heads},expand={expand}", width=8, perturbed=True)
    x = tokens(70, 8)
    w_q, w_k, w_v = mixer.qkv.weight.T.split([8, 8, 8 * expand], dim=1)
    keys, values = 8 // heads, 8 * expand // heads
    age = torch.arange(70)[:, None] - torch.arange(70)
    normed = []
    for head in range(heads):
        key, value = slice(head * keys, (head + 1) * keys), slice(head * values, (head + 1) * values)
        decay = torch.where(age >= 0, (1 - 2.0 ** (-5 - head)) ** age.clamp(min=0).double(), 0.0)
        scores = (turned((x @ w_q)[:, key]) @ turned((x @ w_k)[:, key]).conj().T).real / keys**0.5
        o = (scores * decay) @ (x @ w_v)[:, value]
        o = (o - o.mean(1, keepdim=True)) / torch.sqrt(o.var(1, correction=0, keepdim=True) + 1e-5)
        normed.append(o * mixer.norm.weight[value] + mixer.norm.bias[value])
    gate = x @ mixer.output_gate.weight.T
    expected = (gate * torch.sigmoid(gate) * torch.cat(normed, dim=1)) @ mixer.out.weight.T
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x[None])[0], expected, rtol=1e-9, atol=1e-11)


def test_scores_depend_on_the_distance_of_steps_only(build):
    mixer = build("retnet")
    q, k, _ = mixer._project(tokens(1, 1, 16).expand(-1, 90, -1))
    scores = q @ k.mT
    torch.testing.assert_close(scores[..., 5:, 5:], scores[..., :-5, :-5])
    assert not torch.allclose(scores[..., 5, 3], scores[..., 5, 4])


def test_decays_are_the_papers_gammas(build):
    gammas = build("retnet:heads=2").decays(tokens(3, 5, 16))
    torch.testing.assert_close(gammas, torch.tensor([31 / 32, 63 / 64], dtype=torch.float64).expand(3, 5, 2))


def test_many_heads_still_decay_in_float32(build):
    mixer = build("retnet:heads=32", width=64, dtype=torch.float32)
    log_decay = mixer._log_decay(torch.zeros(1, 1, 64))
    assert (log_decay < 0).all() and (log_decay.diff(dim=1) > 0).all()


def test_the_state_is_counted(build):
    assert build("retnet:heads=4,expand=2", width=32).state_size == 4 * (8 * 16)


def test_a_width_that_does_not_fit_is_named_in_one_line(build):
    with pytest.raises(UserError, match="must divide the width 12.*got heads=4"):
        build("retnet", width=12)


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("retnet"), tokens(2, 600, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().mean() < 0.05 * expected.abs().mean()
