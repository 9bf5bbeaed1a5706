"""Hybrids: what they compute of their parts, and which patterns they take."""

import pytest
import torch

from harness.architectures.layers.hybrid import parts_of
from harness.architectures.ops import scalar_scan
from harness.contracts.errors import UserError
from harness.registry import architectures

needs_cpp = pytest.mark.skipif(not scalar_scan.CPP.available(), reason="no C++ compiler here")


def tokens(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normalized(x):
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def test_a_pattern_of_one_part_is_that_part(build):
    hybrid, gru = build("hybrid:pattern=gru"), build("gru")
    x = tokens(2, 9, 16)
    assert torch.equal(hybrid(x), gru(x))
    assert hybrid.state_size == gru.state_size


def test_with_the_frames_residual_it_is_a_stack_of_pre_norm_layers(build):
    hybrid = build('hybrid:pattern="gru+linear-attention:heads=2+lstm"', perturbed=True)
    x = tokens(2, 9, 16)
    first, second, third = hybrid.parts
    assert second.heads == 2
    stack = x + first(x)
    stack = stack + second(normalized(stack))
    stack = stack + third(normalized(stack))
    torch.testing.assert_close(x + hybrid(x), stack)
    torch.testing.assert_close(x + hybrid.reference(x), stack)


def test_parts_of_one_kind_start_differently(build):
    first, second = build('hybrid:pattern="gru+gru"').parts
    assert not torch.equal(first.layer.weight_ih_l0, second.layer.weight_ih_l0)


@pytest.mark.parametrize(
    "pattern, causal, permutation_equivariant, sized",
    [
        ("gru+lstm", True, False, True),
        ("gru+local-attention", False, False, False),
        ("global-attention+global-attention", False, True, False),
        ("gru+global-attention:causal=true", True, False, False),
    ],
)
def test_its_properties_follow_from_the_parts(build, pattern, causal, permutation_equivariant, sized):
    hybrid = build(f'hybrid:pattern="{pattern}"')
    assert (hybrid.causal, hybrid.permutation_equivariant) == (causal, permutation_equivariant)
    assert hybrid.state_size == (sum(part.state_size for part in hybrid.parts) if sized else None)


def test_what_its_parts_do_not_count_adds_up(build):
    alone = sum(build(name).uncounted_flops(40) for name in ("mamba", "rwkv7"))
    assert build('hybrid:pattern="mamba+gru+rwkv7"').uncounted_flops(40) == alone > 0


def test_padding_does_not_pass_from_part_to_part(build):
    hybrid = build('hybrid:pattern="lstm+global-attention"', perturbed=True)
    x = tokens(2, 9, 16)
    padded = torch.cat([x, torch.full((2, 5, 16), torch.nan)], dim=1)
    y = hybrid(padded, (torch.arange(14) < 9).expand(2, -1))
    torch.testing.assert_close(y[:, :9], hybrid(x))


@needs_cpp
def test_the_kernels_of_all_parts_are_named(build):
    hybrid = build('hybrid:pattern="gru+linear-attention"')
    hybrid(tokens(1, 3, 16))
    version = torch.__version__.partition("+")[0]
    assert hybrid.kernel == f"torch {version}/gru native + torch {version}/scalar scan cpp"


@pytest.mark.parametrize(
    "pattern, parts",
    [
        ("gru", ["gru"]),
        ("mamba:state=8+local-attention:window=8", ["mamba:state=8", "local-attention:window=8"]),
        ('hybrid:pattern="gru+lstm"+gru', ['hybrid:pattern="gru+lstm"', "gru"]),
        (
            r'hybrid:pattern="hybrid:pattern=\"gru+lstm\"+gru"+gru',
            [r'hybrid:pattern="hybrid:pattern=\"gru+lstm\"+gru"', "gru"],
        ),
    ],
)
def test_a_pattern_is_cut_outside_quotes(pattern, parts):
    assert parts_of(pattern) == parts


def test_hybrids_nest(build):
    hybrid = build(r'hybrid:pattern="hybrid:pattern=\"gru+lstm\"+gru"')
    assert [type(part).__name__ for part in hybrid.parts] == ["Hybrid", "GRU"]


def test_the_canonical_spec_quotes_the_pattern():
    text = architectures.canonical("hybrid")
    assert text == 'hybrid:pattern="mamba+local-attention"'
    assert architectures.canonical(text) == text


@pytest.mark.parametrize("pattern", ["+gru", "gru+", "gru++lstm", "+"])
def test_a_missing_part_is_the_users_to_hear_of(build, pattern):
    with pytest.raises(UserError, match=r"pattern is specs of architectures joined with '\+'"):
        build(f'hybrid:pattern="{pattern}"')


def test_an_unknown_part_is_answered_with_the_nearest_name(build):
    with pytest.raises(UserError, match="'mambo' is not known; did you mean mamba"):
        build('hybrid:pattern="gru+mambo"')


def test_a_parts_parameters_are_checked(build):
    with pytest.raises(UserError, match="architecture gru has no parameter 'heads'"):
        build('hybrid:pattern="gru:heads=2+lstm"')
