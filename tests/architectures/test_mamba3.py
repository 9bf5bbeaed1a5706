"""Mamba-3 runs in mamba-ssm's CUDA kernels: what is said elsewhere, and what can be seen of the block without them."""

import pytest
import torch

from harness.architectures.mixers.mamba3 import mamba3_block
from harness.errors import Unsupported, UserError


@pytest.fixture
def pretended_cuda(monkeypatch):
    """The block is built as on a CUDA machine; its kernels are not called."""
    mamba3_block.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    yield
    mamba3_block.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_is_unsupported_with_a_cure(build):
    with pytest.raises(Unsupported, match="Triton kernels only.*no CUDA device; .*take mamba2"):
        build("mamba3")


def test_cpu_tensors_are_unsupported(build, pretended_cuda):
    with pytest.raises(Unsupported, match="got tensors on the cpu"):
        build("mamba3")(torch.zeros(1, 5, 16, dtype=torch.float64))


@pytest.mark.parametrize("spec, width", [("mamba3", 20), ("mamba3:headdim=24", 24), ("mamba3:state=48", 16)])
def test_sizes_that_do_not_fit_are_named_in_one_line(build, spec, width):
    with pytest.raises(UserError, match="headdim and state are powers of two, and headdim divides expand"):
        build(spec, width=width)


def test_gates_and_decays_are_the_blocks(build, pretended_cuda):
    mixer = build("mamba3", perturbed=True)
    block = mixer.block
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sizes = [32, 32, 64, 64, 2, 2, 2, block.num_rope_angles]  # z, x, B, C, step sizes, rates, trapezoids, angles
    step, rate = block.in_proj(x).split(sizes, dim=-1)[4:6]
    step = torch.nn.functional.softplus(step + block.dt_bias)
    expected = torch.exp(-torch.nn.functional.softplus(rate).clamp(min=1e-4) * step)
    torch.testing.assert_close(mixer.decays(x), expected)
    torch.testing.assert_close(mixer.gate_directions(), block.in_proj.weight[192:196])


def test_the_state_is_counted(build, pretended_cuda):
    states = build("mamba3").block.allocate_inference_cache(1, 1)
    assert build("mamba3").state_size == sum(state.numel() for state in states)
