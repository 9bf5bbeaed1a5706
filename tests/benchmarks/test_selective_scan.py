"""Speed of the selective scan by its paths, forward and backward to every input, one thread, float32.

    python -m pytest tests/benchmarks/test_selective_scan.py --benchmark-only

Layouts are those a Mamba block hands over: u with length innermost, the others with channels or states innermost.
"""

import pytest
import torch

from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.selective_scan import last_path, selective_scan, selective_scan_reference
from harness.architectures.ops.selective_scan_cpp import cpp_available

BATCH, LENGTH, CHANNELS, STATE = SHAPE = (64, 64, 64, 16)
ROUNDS = {"cpp": 30, "torch loop": 10, "autograd unbind": 5, "mamba-ssm selective_scan_ref": 3}
OURS = ("cpp", "torch loop")


def arguments():
    """Step sizes softplus(delta + bias) of .001 to .1 and rates 1 to STATE, as Mamba starts with."""
    generator = torch.Generator().manual_seed(0)

    def sequence(lanes):
        return torch.randn(BATCH, LENGTH, lanes, generator=generator).transpose(1, 2)

    steps = 10 ** (torch.rand(CHANNELS, generator=generator) * 2 - 3)
    bias = steps + torch.log(-torch.expm1(-steps))
    A = -torch.arange(1.0, STATE + 1).expand(CHANNELS, -1).contiguous()
    given = [
        sequence(CHANNELS).contiguous(),
        0.1 * sequence(CHANNELS),
        A,
        sequence(STATE),
        sequence(STATE),
        torch.ones(CHANNELS),
        sequence(CHANNELS),
        bias,
    ]
    return given, sequence(CHANNELS)


def train(scan, given, direction):
    given = [tensor.detach().requires_grad_() for tensor in given]
    y = scan(*given, delta_softplus=True)
    return [y.detach(), *torch.autograd.grad(y, given, direction)]


@pytest.mark.parametrize("path", ROUNDS)
def test_selective_scan(benchmark, monkeypatch, path):
    scan = selective_scan if path in OURS else selective_scan_reference
    if path == "torch loop":
        monkeypatch.setenv("HARNESS_NO_CPP", "1")
    elif path == "cpp" and not cpp_available():
        pytest.skip("no C++ compiler here")
    elif path.startswith("mamba-ssm"):
        try:
            scan = load_privately("mamba_ssm.ops.selective_scan_interface").selective_scan_ref
        except ImportError:
            pytest.skip("mamba-ssm is not installed")
    torch.set_num_threads(1)
    given, direction = arguments()
    exact = train(selective_scan_reference, [tensor.double() for tensor in given], direction.double())
    results = train(scan, given, direction)
    assert path not in OURS or last_path() == path
    error = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(results, exact, strict=True))
    assert error < 1e-4

    benchmark.group = f"selective scan training, batch x length x channels x state {SHAPE}, float32, 1 thread"
    benchmark.pedantic(train, (scan, given, direction), rounds=ROUNDS[path], warmup_rounds=1)
    benchmark.extra_info.update(
        tokens_per_second=BATCH * LENGTH / benchmark.stats.stats.median,
        kernel=path,
        shape=list(SHAPE),
        relative_error=error,
    )
