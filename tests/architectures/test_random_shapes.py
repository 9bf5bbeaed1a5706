"""Random batches, lengths and padding for every registered architecture: the fast path stays the reference."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.registry import architectures

WIDTH = 16


@pytest.mark.parametrize("name", architectures.names())
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 70), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_any_batch_of_any_lengths_is_mixed_as_the_reference_does(build, name, lengths, seed):
    longest = max(1, *lengths)
    mixer = build(name, length=longest, seed=seed, perturbed=True)
    drawn = torch.randn(len(lengths), longest, WIDTH, generator=torch.Generator().manual_seed(seed)).double()
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    cells = torch.stack([torch.arange(longest) // 8, torch.arange(longest) % 8], dim=-1)[None]
    x = drawn.clone().requires_grad_()
    y = mixer(x, mask, cells)
    assert y.shape == x.shape and y.isfinite().all()
    y[mask].sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and not x.grad[~mask].any()
    torch.testing.assert_close(y[mask], mixer.reference(drawn, mask, cells)[mask], rtol=1e-9, atol=1e-10)
