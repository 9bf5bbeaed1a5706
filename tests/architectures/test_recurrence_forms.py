"""Mixers through C++ operators and through torch operations: the same map, and the record says which."""

import pytest
import torch

from harness.architectures.ops import causal_conv, gated_average, matrix_scan, scalar_scan
from harness.contracts import norm

OPERATORS = (matrix_scan.CPP, scalar_scan.CPP, causal_conv.CPP, gated_average.CPP, norm.CPP)
pytestmark = pytest.mark.skipif(not all(cpp.available() for cpp in OPERATORS), reason="no C++ compiler here")

# By mixer: the paths in C++ and in torch operations, and what the formula adds for 10 steps of a width of 32: for each
# number in the states what the recurrence takes, and two for each tap of a convolution.
PATHS = {
    "linear-attention": ("scalar scan cpp", "linear chunk 32", 4 * 4 * 8 * 9),
    "gated-linear-attention": ("matrix scan cpp", "gated linear chunk 16", 5 * 4 * 4 * 8),
    "retnet": ("scalar scan cpp", "retention chunk 32", 5 * 4 * 8 * 16),
    "gated-deltanet": ("matrix scan cpp", "gated delta chunk 32", 7 * 4 * 8 * 16 + 2 * 4 * (2 * 32 + 64)),
    "deltanet": ("matrix scan cpp", "delta chunk 32", 6 * 4 * 8 * 8 + 2 * 4 * 3 * 32),
    "rwkv7": ("matrix scan cpp", "wkv7 chunk 16", 9 * 4 * 8 * 8),
    "mamba2": ("scalar scan cpp", "state space duality chunk 32", 5 * 64 * 64 + 2 * 4 * (64 + 2 * 64)),
    "mamba3": ("scalar scan cpp", "trapezoidal chunk 32", 5 * 64 * 64),
    "mamba": ("selective scan cpp", "torch loop", 64 * (7 * 16 + 3) + 2 * 4 * 64),
    "mamba:eigenvalues=negative": (
        "selective scan cpp",
        "selective scan torch loop",
        64 * (9 * 16 + 3) + 2 * 4 * 64,
    ),
    "mamba2:eigenvalues=negative": (
        "scalar scan cpp",
        "signed state space duality chunk 32",
        5 * 64 * 64 + 2 * 4 * (64 + 2 * 64),
    ),
    "min-gru": ("gated average cpp", "log-space scan", 4 * 32),
    "depthwise-conv": ("causal conv cpp", "depthwise conv1d", 2 * 4 * 32),
}


def trained(mixer, x):
    """Output and gradients."""
    x = x.clone().requires_grad_()
    y = mixer(x)
    direction = torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()
    return [y, *torch.autograd.grad(y, [x, *mixer.parameters()], direction)]


@pytest.mark.parametrize("name", PATHS)
def test_both_are_one_map_and_are_named(build, monkeypatch, name):
    mixer, x = build(name, width=32, perturbed=True), torch.randn(2, 37, 32, dtype=torch.float64)
    in_cpp, in_torch, flops = PATHS[name]
    fast = trained(mixer, x)
    assert mixer.kernel.endswith(f"/{in_cpp}")
    assert mixer.uncounted_flops(10) == 10 * flops
    monkeypatch.setenv("HARNESS_NO_CPP", "1")
    plain = trained(mixer, x)
    assert mixer.kernel.endswith(f"/{in_torch}")
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", PATHS)
def test_models_seen_through_vmap_take_torch_operations(build, name):
    """torch.func.vmap cannot look into the operators that are no custom_op; mamba's scan is one."""
    mixer, x = build(name, width=32), torch.randn(3, 2, 9, 32, dtype=torch.float64)
    if name.partition(":")[0] == "mamba":
        pytest.skip("its scan is a custom_op, which torch maps over")
    y = torch.func.vmap(mixer)(x)
    assert mixer.kernel.endswith(f"/{PATHS[name][1]}")
    torch.testing.assert_close(y, torch.stack([mixer(each) for each in x]))
