"""What every registered architecture owes the harness, and its variants too."""

import pytest
import torch

from harness.registry import architectures
from harness.registry.plugin_checks import check_entry

VARIANTS = [
    "gated-ssm:projection=shared",
    "gated-ssm:projection=gaussian,normalized=false",
    "gated-ssm:projection=identity,train_projections=true",
    "gated-ssm:projection=shared,train_projections=true",
    "gated-ssm:projection=gaussian,train_projections=true",
    "ungated-ssm:gate=0.1",
    "ungated-ssm:projection=gaussian,train_projections=true",
    "mamba:state=3,conv=2,expand=1",
    "s4d:state=6,initialization=inverse",
    "min-gru:expand=2",
    "depthwise-conv:taps=20",
    "mamba:conv=0,eigenvalues=negative",
    "mamba2:state=3,conv=1,expand=1,headdim=4",
    "mamba2:conv=0,eigenvalues=negative",
    "gated-deltanet:heads=2,conv=1,expand=1",
    "gated-deltanet:conv=0,eigenvalues=negative",
    "deltanet:heads=2,conv=0,expand=2,eigenvalues=negative",
    "rwkv7:heads=2,rank=3",
    'hybrid:pattern="global-attention+mean-pool"',
    'hybrid:pattern="rwkv7+mamba2:state=8+local-attention:window=8"',
    "global-attention:causal=true",
    "global-attention:positions=learned",
    "global-attention:positions=sinusoidal",
    "global-attention:positions=rotary",
    "global-attention:positions=2d",
    "global-attention:heads=1,causal=true,positions=rotary",
    "local-attention:causal=true",
    "local-attention:window=1",
    "local-attention:window=20",
    "local-attention:positions=rotary",
    "local-attention:positions=2d,causal=true",
    "h3:state=6,headdim=4",
    "hyena:conv=0,hidden=5,features=7",
    "global-attention:conv=3",
    "global-attention:conv=4,causal=true,positions=rotary",
    "local-attention:conv=1",
    "mean-pool:conv=2",
    "identity:conv=4",
    "gated-ssm:conv=3",
    "rwkv7:conv=3",
    'hybrid:conv=2,pattern="s4d:conv=3+global-attention"',
]
SPECS = architectures.names() + VARIANTS
each_spec = pytest.mark.parametrize("spec", SPECS)
WIDTH = 16


def tokens(batch, length, dtype=torch.float64, seed=1):
    x = torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(dtype)


def places(length):
    step = torch.arange(length)
    return torch.stack([step // 8, step % 8], dim=-1)[None]


def outputs_and_gradients(mixer, run, x, mask=None):
    """The outputs at real steps, and the gradients of a fixed random function of them."""
    mixer.zero_grad()
    x = x.clone().requires_grad_()
    y = run(x, mask, places(x.shape[1]))
    if mask is not None:
        y = y[mask]
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(y.dtype)
    (y * direction).sum().backward()
    named = {name: parameter.grad for name, parameter in mixer.named_parameters() if parameter.requires_grad}
    return {"y": y.detach(), "x": x.grad, **named}


@each_spec
def test_what_check_asks_of_anybodys_holds(spec):
    found = list(check_entry(*architectures.parse(spec)))
    assert [finding for finding in found if finding.problem or finding.skipped] == []


@each_spec
def test_gradients_reach_every_trainable_parameter(build, spec):
    mixer = build(spec, length=33)
    results = outputs_and_gradients(mixer, mixer, tokens(3, 33))
    assert [name for name, gradient in results.items() if not gradient.abs().max() > 0] == []


@each_spec
def test_an_optimizer_can_step_what_was_built(build, spec):
    mixer = build(spec, dtype=torch.float32)
    trained = [parameter for parameter in mixer.parameters() if parameter.requires_grad]
    if not trained:
        pytest.skip("nothing to train")
    outputs_and_gradients(mixer, mixer, tokens(3, 33, torch.float32))
    before = [parameter.detach().clone() for parameter in trained]
    torch.optim.SGD(trained, lr=1.0).step()
    assert all(not torch.equal(parameter, old) for parameter, old in zip(trained, before, strict=True))


@each_spec
def test_another_seed_gives_another_mixer(build, spec):
    first, other = (build(spec, seed=seed) for seed in (3, 4))
    drawn = [*first.parameters(), *first.buffers()]
    same = [torch.equal(a, b) for a, b in zip(drawn, [*other.parameters(), *other.buffers()], strict=True)]
    constant = (
        spec in ("gated-ssm", "ungated-ssm", "ungated-ssm:gate=0.1", "mean-pool", "identity")
        or "projection=identity" in spec
    )
    assert all(same) == constant


@each_spec
@pytest.mark.parametrize("padding, garbage", [(1, 1e30), (24, float("inf")), (110, float("nan"))])
def test_right_padding_changes_no_real_step_and_no_gradient(build, spec, padding, garbage):
    mixer = build(spec, perturbed=True)
    x = tokens(2, 9)
    padded = torch.cat([x, torch.full((2, padding, WIDTH), garbage, dtype=x.dtype)], dim=1)
    mask = (torch.arange(9 + padding) < 9).expand(2, -1)
    bare = outputs_and_gradients(mixer, mixer, x)
    results = outputs_and_gradients(mixer, mixer, padded, mask)
    results["y"] = results["y"].unflatten(0, (2, 9))
    assert results["x"][:, 9:].abs().max() == 0
    results["x"] = results["x"][:, :9]
    for name, expected in bare.items():
        torch.testing.assert_close(results[name], expected, rtol=1e-9, atol=1e-11, msg=f"{name} changed")


@each_spec
@pytest.mark.parametrize("length", [9, 130])
def test_a_row_of_padding_only_gives_no_nan(build, spec, length):
    mixer = build(spec)
    mask = torch.arange(length) < torch.tensor([[length], [0], [3]])
    x = tokens(3, length).requires_grad_()
    y = mixer(x, mask, places(length))
    y.sum().backward()  # over padded outputs too: a NaN among them would spread
    assert y.isfinite().all() and x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in mixer.parameters() if p.requires_grad)


@each_spec
@pytest.mark.parametrize("length", [1, 7, 33, 130])
@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
def test_the_fast_path_is_the_reference_in_float64(build, spec, length, masked):
    mixer = build(spec, perturbed=True)
    mask = torch.arange(length) < torch.tensor([[length], [(length + 1) // 2]]) if masked else None
    x = tokens(2, length)
    fast = outputs_and_gradients(mixer, mixer, x, mask)
    plain = outputs_and_gradients(mixer, mixer.reference, x, mask)
    for name, expected in plain.items():
        # mamba-ssm rounds these to float32 whatever the dtype, and their gradients with them.
        rtol = 1e-6 if name.endswith((".A_log", ".D", ".dt_proj.bias")) else 1e-9
        torch.testing.assert_close(fast[name], expected, rtol=rtol, atol=1e-10, msg=f"{name} differs")


@each_spec
@pytest.mark.parametrize("length", [33, 130])
def test_float32_stays_near_the_float64_reference(build, spec, length):
    mixer = build(spec, perturbed=True)
    expected = mixer.reference(tokens(2, length), None, places(length))
    y = mixer.float()(tokens(2, length, torch.float32), None, places(length))
    assert (y.double() - expected).abs().max() < 1e-4 * expected.abs().max()
