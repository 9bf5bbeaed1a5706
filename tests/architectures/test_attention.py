"""Attention: torch's own module as referee, blocks against the band, what positions mean."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from harness.architectures.layers.positions import rotate
from harness.architectures.ops.local_attention import (
    FLEX_BLOCK,
    band_blocks,
    band_mask,
    banded_attention,
    blocked_attention,
    flex_window_attention,
    window_path,
)
from harness.contracts.errors import UserError


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def referee(mixer, width):
    """torch.nn.MultiheadAttention with the mixer's weights."""
    module = torch.nn.MultiheadAttention(width, mixer.heads, batch_first=True, dtype=torch.float64)
    module.load_state_dict(
        {
            "in_proj_weight": mixer.qkv.weight,
            "in_proj_bias": mixer.qkv.bias,
            "out_proj.weight": mixer.out.weight,
            "out_proj.bias": mixer.out.bias,
        }
    )
    return module


def test_global_attention_is_torchs_module(build):
    mixer, x = build("global-attention", perturbed=True), tokens(3, 20, 16)
    mask = torch.arange(20) < torch.tensor([[20], [7], [1]])
    expected, _ = referee(mixer, 16)(x, x, x, key_padding_mask=~mask)
    torch.testing.assert_close(mixer(x, mask)[mask], expected[mask])


@pytest.mark.parametrize("causal", ["false", "true"])
@pytest.mark.parametrize("length, window", [(20, 4), (130, 4), (130, 15)])
def test_local_attention_is_torchs_module_with_a_band(build, causal, length, window):
    mixer = build(f"local-attention:window={window},causal={causal}", perturbed=True)
    assert window_path(length, window, "cpu", torch.float64) == ("blocked" if length == 130 else "banded")
    x = tokens(2, length, 16)
    offset = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    hidden = (offset.abs() > window) | ((offset > 0) & (causal == "true"))
    expected, _ = referee(mixer, 16)(x, x, x, attn_mask=hidden)
    torch.testing.assert_close(mixer(x), expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window, block", [(1, 1), (3, 3), (3, 5), (4, 16), (30, 30)])
@pytest.mark.parametrize("length", [1, 3, 16, 25])
def test_blocks_are_the_band(causal, window, block, length):
    q, k, v = (tokens(2, 2, length, 4, seed=seed).requires_grad_() for seed in range(3))
    mask = torch.arange(length) < torch.tensor([[length], [(length + 1) // 2]])
    for given in (None, mask):
        band = banded_attention(q, k, v, window, causal, given)
        blocked = blocked_attention(q, k, v, window, causal, given, block=block)
        torch.testing.assert_close(blocked, band)
        gradients = [torch.autograd.grad((y * y).sum(), [q, k, v]) for y in (blocked, band)]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length, window", [(1, 1), (128, 4), (129, 1), (300, 127), (300, 128), (700, 129), (520, 600)])
def test_the_blocks_for_flex_attention_are_those_that_hold_the_band(causal, length, window):
    found = band_blocks(length, window, causal, torch.device("cpu"))
    expected = create_block_mask(band_mask(window, causal), None, None, length, length, "cpu", FLEX_BLOCK)
    assert found.shape == expected.shape
    assert torch.equal(found.to_dense(), expected.to_dense())
    step = torch.arange(length)
    offset = step[None, :] - step[:, None]
    seen = (offset >= -window) & (offset <= (0 if causal else window))
    assert torch.equal(band_mask(window, causal)(*torch.zeros(2), step[:, None], step[None, :]), seen)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("channels", [4, 16])
def test_flex_attention_is_the_band(causal, channels):
    """Run as it is written, on a CPU; the compiled kernels have not been run."""
    q, k, v = (tokens(3, 2, 300, channels, seed=seed) for seed in range(3))
    mask = torch.arange(300) < torch.tensor([[300], [131], [1]])
    for given in (None, mask):
        band = banded_attention(q, k, v, 20, causal, given)
        flex = flex_window_attention(q, k, v, 20, causal, given, attend=flex_attention)
        torch.testing.assert_close(flex, band)


@pytest.mark.parametrize(
    "length, window, device, dtype, path",
    [
        (95, 4, "cpu", torch.float32, "banded"),
        (96, 4, "cpu", torch.float32, "blocked"),
        (256, 33, "cpu", torch.float32, "banded"),
        (65536, 4, "cpu", torch.bfloat16, "blocked"),
        (511, 4, "cuda", torch.float32, "banded"),
        (512, 4, "cuda", torch.float32, "flex"),
        (512, 129, "cuda", torch.bfloat16, "banded"),
        (1024, 4, "cuda", torch.float64, "blocked"),
    ],
)
def test_which_path_serves_is_a_stated_rule(length, window, device, dtype, path):
    assert window_path(length, window, device, dtype) == path


def test_rotated_products_depend_on_the_difference_of_steps_only():
    q, k = (tokens(1, 1, 1, 8, seed=seed).expand(1, 1, 12, 8) for seed in range(2))
    products = (rotate(q) @ rotate(k).transpose(-1, -2))[0, 0]
    for gap in (-3, 0, 5):
        diagonal = products.diagonal(gap)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert not torch.isclose(products[0, 0], products[0, 5])


def test_2d_positions_follow_the_cells_and_not_the_route(build):
    mixer, x = build("global-attention:positions=2d", perturbed=True), tokens(2, 12, 16)
    cells = torch.stack([torch.arange(12) // 4, torch.arange(12) % 4], dim=-1)[None]
    route = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixer(x[:, route], None, cells[:, route]), mixer(x, None, cells)[:, route])
    turned = cells.flip(-1)
    assert not torch.allclose(mixer(x, None, turned), mixer(x, None, cells))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_other_positions_do_not_see_the_cells(build, positions):
    mixer, x = build(f"global-attention:positions={positions}"), tokens(2, 12, 16)
    cells = torch.randint(0, 9, (1, 12, 2), generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixer(x, None, cells), mixer(x))


@pytest.mark.parametrize("name", ["global-attention", "local-attention"])
def test_combinations_that_do_not_fit_are_named_in_one_line(build, name):
    with pytest.raises(UserError, match="heads must divide the width 16, got heads=3$"):
        build(f"{name}:heads=3")
    with pytest.raises(UserError, match="rotary needs an even number"):
        build(f"{name}:heads=4,positions=rotary", width=12)
    with pytest.raises(UserError, match="table of 10 steps, got a sequence of 11"):
        build(f"{name}:positions=learned", length=10)(tokens(1, 11, 16))
    with pytest.raises(UserError, match="needs the cell"):
        build(f"{name}:positions=2d")(tokens(1, 11, 16))


@pytest.mark.parametrize(
    "spec, length, path",
    [
        ("global-attention", 20, "scaled dot product"),
        ("local-attention", 95, "banded scaled dot product"),
        ("local-attention", 96, "blocked attention 16"),
    ],
)
def test_the_kernel_names_what_ran(build, spec, length, path):
    mixer = build(spec)
    mixer(tokens(1, length, 16))
    assert mixer.kernel.partition("/")[2].startswith(path)
