"""Mamba-2: the plain block is mamba-ssm's, its scan the paper's listing, both also transformers' code."""

import sys

import pytest
import torch

from harness.architectures.layers.mamba2 import Mamba2Block
from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.scalar_decay import scalar_decay_chunked, scalar_decay_reference
from harness.contracts.errors import UserError
from harness.contracts.seeds import seeded_torch

SIZES = [
    dict(d_model=16, headdim=16),
    dict(d_model=24, d_state=3, d_conv=2, expand=1, headdim=8),
    dict(d_model=8, d_state=5, d_conv=1, expand=3, headdim=4),
]
each_size = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.fixture
def theirs():
    try:
        return load_privately("mamba_ssm.modules.mamba2").Mamba2
    except ImportError:
        pytest.skip("mamba-ssm's Mamba2 does not import here")


def initialized(build, size, seed=0):
    with seeded_torch(torch.Generator().manual_seed(seed)):
        return build(**size)


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_size
def test_one_seed_gives_mamba_ssms_initialization(theirs, size):
    package, plain = initialized(theirs, size), initialized(Mamba2Block, size)
    assert package.state_dict().keys() == plain.state_dict().keys()
    assert [name for name, _ in package.named_parameters()] != []
    for name, value in package.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name


@each_size
def test_state_dicts_load_both_ways(theirs, size):
    package, plain = initialized(theirs, size), initialized(Mamba2Block, size, seed=1)
    assert not torch.equal(package.in_proj.weight, plain.in_proj.weight)
    plain.load_state_dict(package.state_dict())
    package.load_state_dict(plain.state_dict())


@pytest.mark.parametrize("decay", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("chunk", [4, 16])
def test_the_scan_is_the_papers_listing(decay, chunk):
    try:
        listing = load_privately("mamba_ssm.modules.ssd_minimal").ssd_minimal_discrete
    except ImportError:
        pytest.skip("mamba-ssm does not import here")
    x, B, C, log_decay = tokens(2, 3, 32, 5), tokens(2, 1, 32, 4, seed=2), tokens(2, 1, 32, 4, seed=3), tokens(2, 3, 32)
    log_decay = -decay * log_decay.abs()
    shared = [tensor.expand(-1, 3, -1, -1).transpose(1, 2) for tensor in (B, C)]
    expected, _ = listing(x.transpose(1, 2), log_decay.transpose(1, 2), *shared, chunk)
    for scan in (scalar_decay_chunked, scalar_decay_reference):
        torch.testing.assert_close(scan(C, B, x, log_decay), expected.transpose(1, 2), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_the_block_is_that_of_transformers(size):
    transformers = pytest.importorskip("transformers")
    mixer = pytest.importorskip("transformers.models.mamba2.modeling_mamba2").Mamba2Mixer
    size = {"d_state": 128, "d_conv": 4, "expand": 2} | size
    config = transformers.Mamba2Config(
        hidden_size=size["d_model"],
        state_size=size["d_state"],
        conv_kernel=size["d_conv"],
        expand=size["expand"],
        head_dim=size["headdim"],
        num_heads=size["expand"] * size["d_model"] // size["headdim"],
        n_groups=1,
        chunk_size=8,
        num_hidden_layers=1,
    )
    block, other = initialized(Mamba2Block, size), mixer(config, layer_idx=0)
    other.load_state_dict(block.state_dict())
    x = tokens(2, 21, size["d_model"]).float()
    torch.testing.assert_close(block(x), other(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [scalar_decay_chunked, scalar_decay_reference])
def test_the_scan_is_a_sum_over_products_of_decays(scan):
    q, k, v, decay = tokens(1, 1, 9, 3), tokens(1, 1, 9, 3, seed=2), tokens(1, 2, 9, 4), tokens(1, 2, 9).sigmoid()
    expected = torch.zeros(2, 9, 4, dtype=torch.float64)
    for head in range(2):
        for t in range(9):
            for s in range(t + 1):
                expected[head, t] += decay[0, head, s + 1 : t + 1].prod() * q[0, 0, t].dot(k[0, 0, s]) * v[0, head, s]
    torch.testing.assert_close(scan(q, k, v, decay.log())[0], expected)


@pytest.mark.parametrize("log_decay", [0.0, -1e-4, -0.1, -3.0, -1e6])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 3e-6), (torch.float64, 1e-12)], ids=str)
def test_chunks_keep_their_digits_at_any_decay(log_decay, dtype, tolerance):
    given = [tokens(2, 3, 200, 4, seed=seed).float().double() for seed in range(3)]
    decays = torch.full((2, 3, 200), log_decay, dtype=torch.float64)

    def outputs_and_gradients(scan, dtype):
        leaves = [tensor.to(dtype).requires_grad_() for tensor in (*given, decays)]
        y = scan(*leaves)
        return [y, *torch.autograd.grad((y * tokens(*y.shape, seed=9).to(dtype)).sum(), leaves)]

    expected = outputs_and_gradients(scalar_decay_reference, torch.float64)
    for result, value in zip(outputs_and_gradients(scalar_decay_chunked, dtype), expected, strict=True):
        assert result.isfinite().all()
        assert (result.double() - value).abs().max() <= tolerance * value.abs().max()


def test_decays_are_what_the_scan_is_given(build, monkeypatch):
    mixer = build("mamba2", perturbed=True)
    module = sys.modules[type(mixer).__module__]
    seen = []
    monkeypatch.setattr(module, "scalar_decay_reference", lambda q, k, v, log: seen.append(log) or v)
    x = tokens(2, 7, 16)
    mixer.reference(x)
    torch.testing.assert_close(mixer.decays(x), seen[0].exp().mT)


def test_step_sizes_see_a_token_through_the_gates_directions_only(build):
    mixer = build("mamba2", perturbed=True)
    directions = mixer.gate_directions()
    assert directions.shape == (2, 16)
    unseen, x = torch.linalg.svd(directions).Vh[-1], tokens(1, 5, 16)
    torch.testing.assert_close(mixer.decays(x + unseen), mixer.decays(x))
    assert not torch.allclose(mixer.decays(x + directions[0]), mixer.decays(x))


def test_the_state_is_counted(build):
    assert build("mamba2:state=8,conv=4", width=32).state_size == 64 * 8 + 3 * (64 + 2 * 8)


def test_heads_that_do_not_fit_are_named_in_one_line(build):
    with pytest.raises(UserError, match="headdim must divide expand . width = 2 . 20 = 40, got headdim=16"):
        build("mamba2", width=20)


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("mamba2"), tokens(2, 600, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
