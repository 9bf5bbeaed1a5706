"""Speed of one full-batch gradient of the paper's model (arXiv 2602.12499, Eqs. 2-6), one thread, float32.

    python -m pytest tests/benchmarks/test_paper_gradient.py --benchmark-only

Every hinge is active, so nothing is skipped. "plain autograd" is what one writes first: the recurrence of Eqs. 2-5 in
an unbind loop and torch's gradient. `share_of_floor` is the time that the counted operations would take at the speed of
a large matrix product on this machine, by the time they took.
"""

import pytest
import torch
import torch.nn.functional as F

from harness.architectures.ops.gated_scan import gated_reference
from harness.timing.machine import machine_peaks
from harness.training.paper.gradient import HingeGradient, flops
from harness.training.paper.gradient_torch import mixed

SHAPES = [(2000, 30, 32, 50), (500, 30, 128, 50), (500, 100, 32, 50)]
ROUNDS = {"fused": 30, "fused, data new on each call": 30, "fused, frozen gates": 30, "torch": 10, "plain autograd": 3}


@pytest.fixture(scope="module")
def product_gflops():
    return machine_peaks().product_gflops


def problem(samples, length, width, neurons, *, frozen):
    """Data, parameters and the exact gradients; no sample is within rounding of a kink, where float32 could flip."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    tokens, w_D = normal(2 * samples, length, width) / width**0.5, normal(width) * (not frozen)
    labels, W_O = normal(2 * samples).sign(), 0.1 * normal(neurons, width)
    v = torch.tensor([1.0, -1.0]).repeat_interleave(neurons // 2) / neurons**0.5
    h = torch.cat([mixed(part, None, w_D.double()) for part in tokens.double().split(100)]) @ W_O.double().T
    clear = (h.abs() > 1e-6 * h.abs().amax(2, keepdim=True)).flatten(1).all(1)
    data, parameters = (tokens[clear][:samples], labels[clear][:samples]), (w_D, W_O, v)
    assert len(data[0]) == samples
    exact = HingeGradient(*(value.double() for value in data), frozen_gate=frozen)
    return data, parameters, exact(*(value.double() for value in parameters))


def plain_autograd(tokens, labels, w_D, W_O, v):
    w_D, W_O = w_D.detach().requires_grad_(), W_O.detach().requires_grad_()
    y = gated_reference(tokens, tokens, tokens, tokens @ w_D)
    loss = F.relu(1 - labels * (F.relu(y @ W_O.T) @ v).mean(1)).mean()
    return torch.autograd.grad(loss, (w_D, W_O))


@pytest.mark.parametrize("path", ROUNDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_paper_gradient(benchmark, monkeypatch, product_gflops, shape, path):
    frozen = path.endswith("frozen gates")
    monkeypatch.setenv("HARNESS_NO_CPP", str(int(path == "torch")))
    torch.set_num_threads(1)
    data, parameters, exact = problem(*shape, frozen=frozen)
    bound = HingeGradient(*data, frozen_gate=frozen)
    if path.startswith("fused") and "/cpp" not in bound.kernel:
        pytest.skip("no C++ compiler here")

    def run():
        if path == "plain autograd":
            return plain_autograd(*data, *parameters)
        gradient = (HingeGradient(*data) if "new" in path else bound)(*parameters)
        return gradient.gate, gradient.hidden

    pairs = zip(run(), (exact.gate, exact.hidden), strict=True)
    error = max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)
    assert error < 1e-4

    benchmark.group = f"paper gradient, samples x length x width x neurons {shape}, float32, 1 thread"
    benchmark.pedantic(run, rounds=ROUNDS[path], warmup_rounds=1)
    operations, seconds = flops(*shape, frozen_gate=frozen), benchmark.stats.stats.median
    benchmark.extra_info.update(
        kernel="autograd" if path == "plain autograd" else bound.kernel,
        shape=list(shape),
        flops=operations,
        gflops_per_second=operations / seconds / 1e9,
        matrix_product_gflops_per_second=product_gflops,
        share_of_floor=operations / seconds / 1e9 / product_gflops,
        relative_error=error,
    )
