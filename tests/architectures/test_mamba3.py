"""Mamba-3: the plain block is mamba-ssm's, down to the numbers of its own kernels in Triton's interpreter."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.architectures.layers.mamba3 import Mamba3Block, run_block
from harness.architectures.layers.mamba_package import load_privately
from harness.architectures.ops.scalar_decay import scalar_decay_reference
from harness.architectures.ops.trapezoidal import trapezoidal_chunked, trapezoidal_reference, turned
from harness.contracts.errors import UserError
from harness.contracts.seeds import seeded_torch

INTERPRETED = Path(__file__).with_name("interpreted_mamba3.py")
SIZES = [dict(d_model=16, headdim=16), dict(d_model=24, d_state=16, expand=1, headdim=8)]
each_size = pytest.mark.parametrize("size", SIZES, ids=str)
each_scan = pytest.mark.parametrize("scan", [trapezoidal_reference, trapezoidal_chunked])


@pytest.fixture
def theirs():
    try:
        return load_privately("mamba_ssm.modules.mamba3").Mamba3
    except Exception as error:
        pytest.skip(f"mamba-ssm's Mamba3 does not import here: {error}")


def initialized(build, size, seed=0):
    with seeded_torch(torch.Generator().manual_seed(seed)):
        return build(**size)


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scanned(batch, heads, length):
    """Random queries, keys, values, log decays, step sizes and lambdas."""
    vectors = [tokens(batch, heads, length, size, seed=seed) for seed, size in enumerate((4, 4, 5))]
    scalars = [tokens(batch, heads, length, seed=seed) for seed in (3, 4, 5)]
    return *vectors, -0.3 * scalars[0].abs(), scalars[1].abs(), scalars[2].sigmoid()


@each_size
def test_one_seed_gives_mamba_ssms_initialization(theirs, size):
    package, plain = initialized(theirs, size), initialized(Mamba3Block, size)
    assert list(package.state_dict()) == list(plain.state_dict())
    for name, value in package.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name
    assert (package.A_floor, package.num_rope_angles) == (plain.A_floor, plain.num_rope_angles)


@each_size
def test_state_dicts_load_both_ways(theirs, size):
    package, plain = initialized(theirs, size), initialized(Mamba3Block, size, seed=1)
    assert not torch.equal(package.in_proj.weight, plain.in_proj.weight)
    plain.load_state_dict(package.state_dict())
    package.load_state_dict(plain.state_dict())


@pytest.mark.usefixtures("theirs")
def test_the_block_is_mamba_ssms_with_its_kernels(tmp_path):
    """Outputs and all gradients of mamba-ssm's block, whose kernels Triton's interpreter runs on the CPU over two of
    their chunks, against the plain reference in float64. They are given float32: what the package loses by rounding
    to bfloat16 before and within them is not seen here.
    """
    size = dict(d_model=16, d_state=16, headdim=16)
    block = initialized(Mamba3Block, size)
    with torch.no_grad():
        for seed, parameter in enumerate(block.parameters()):
            parameter += 0.3 * tokens(*parameter.shape, seed=seed)
    x, direction = tokens(2, 70, 16, seed=50).float(), tokens(2, 70, 16, seed=51).float()
    given = {"size": size, "parameters": block.state_dict(), "x": x, "direction": direction}
    torch.save(given, tmp_path / "given.pt")
    command = [sys.executable, str(INTERPRETED), str(tmp_path / "given.pt"), str(tmp_path / "results.pt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = torch.load(tmp_path / "results.pt")

    leaf = x.double().requires_grad_()
    y = run_block(block.double(), leaf, trapezoidal_reference)
    (y * direction).sum().backward()
    expected = {"y": y.detach(), "x": leaf.grad} | {name: p.grad for name, p in block.named_parameters()}
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        assert (results[name] - value).abs().max() <= 1e-5 * value.abs().max(), name


@each_scan
def test_the_scan_is_a_sum_in_which_an_input_counts_at_its_step_and_the_next(scan):
    q, k, v, log_decay, step_size, trapezoid = given = scanned(1, 2, 40)
    expected = torch.zeros_like(v)
    for t in range(40):
        for s in range(t + 1):
            weight = trapezoid[..., s] * step_size[..., s]
            if s < t:
                weight = weight + (1 - trapezoid[..., s + 1]) * step_size[..., s + 1]
            kept = log_decay[..., s + 1 : t + 1].sum(-1).exp()
            expected[:, :, t] += (kept * weight * (q[:, :, t] * k[:, :, s]).sum(-1))[..., None] * v[:, :, s]
    torch.testing.assert_close(scan(*given), expected)


@each_scan
def test_at_lambda_one_the_scan_is_mamba2s(scan):
    q, k, v, log_decay, step_size, _ = scanned(2, 3, 40)
    y = scan(q, k, v, log_decay, step_size, torch.ones_like(step_size))
    torch.testing.assert_close(y, scalar_decay_reference(q, k, step_size[..., None] * v, log_decay))


def test_not_a_bit_of_the_future_is_seen_in_chunks_of_float32():
    given = [tensor.float() for tensor in scanned(2, 3, 40)]
    changed = [torch.cat([tensor[:, :, :20], 2 * tensor[:, :, 20:]], dim=2) for tensor in given]
    assert torch.equal(trapezoidal_chunked(*given)[:, :, :20], trapezoidal_chunked(*changed)[:, :, :20])


def test_turning_b_and_c_is_a_turning_state():
    """A complex state that turns by each step's angle and of which real parts are read gives the same."""
    (q, k, v), angle = (tokens(1, 2, 9, size, seed=size) for size in (6, 6, 5)), tokens(1, 2, 9, 2)
    cosine, sine = angle.cumsum(2).cos(), angle.cumsum(2).sin()
    scores = turned(q, cosine, sine) @ turned(k, cosine, sine).mT
    pairs_q, pairs_k = (torch.view_as_complex(u[..., :4].unflatten(-1, (2, 2)).contiguous()) for u in (q, k))
    for head in range(2):
        state = torch.zeros(2, 5, dtype=torch.complex128)
        for t in range(9):
            state = torch.exp(-1j * angle[0, head, t])[:, None] * state + pairs_k[0, head, t, :, None] * v[0, head, t]
            y = (pairs_q[0, head, t].conj()[:, None] * state).real.sum(0)
            y = y + (q[0, head, t, 4:] @ k[0, head, : t + 1, 4:].mT) @ v[0, head, : t + 1]
            torch.testing.assert_close(scores[0, head, t, : t + 1] @ v[0, head, : t + 1], y)


def test_decays_are_what_the_scan_is_given(build, monkeypatch):
    mixer = build("mamba3", perturbed=True)
    seen = []
    module = sys.modules[type(mixer).__module__]
    monkeypatch.setattr(module, "trapezoidal_reference", lambda q, k, v, log, *more: seen.append(log) or v)
    x = tokens(2, 7, 16)
    mixer.reference(x)
    torch.testing.assert_close(mixer.decays(x), seen[0].exp().mT)


def test_gates_are_the_rows_of_step_sizes_and_rates(build):
    mixer = build("mamba3", perturbed=True)
    directions = mixer.gate_directions()
    torch.testing.assert_close(directions, mixer.block.in_proj.weight[192:196])  # after z, x, B and C: 32, 32, 64, 64
    unseen, x = torch.linalg.svd(directions).Vh[-1], tokens(1, 5, 16)
    torch.testing.assert_close(mixer.decays(x + unseen), mixer.decays(x))
    assert not torch.allclose(mixer.decays(x + directions[0]), mixer.decays(x))


def test_an_angle_of_a_whole_turn_and_more_stays_exact(build):
    mixer = build("mamba3")
    with torch.no_grad():
        mixer.block.dt_bias.fill_(5 * math.pi)
    x = tokens(1, 130, 16)
    expected = mixer.reference(x)
    y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("spec, width", [("mamba3", 20), ("mamba3:headdim=24", 24), ("mamba3:state=48", 16)])
def test_sizes_that_do_not_fit_are_named_in_one_line(build, spec, width):
    with pytest.raises(UserError, match="headdim and state are powers of two, and headdim divides expand"):
        build(spec, width=width)


def test_the_state_is_what_mamba_ssm_keeps_between_tokens(build, theirs):
    states = theirs(d_model=16, d_state=64, headdim=16).allocate_inference_cache(1, 1)
    assert build("mamba3").state_size == sum(state.numel() for state in states)


@pytest.mark.filterwarnings("error")
def test_under_autocast_it_stays_near_the_reference(build):
    mixer, x = build("mamba3"), tokens(2, 600, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
