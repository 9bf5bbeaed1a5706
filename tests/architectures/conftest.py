"""How the architecture tests build a mixer."""

import pytest
import torch

from harness.contracts.errors import Unsupported
from harness.registry import architectures

LONGEST = 140


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """A test of an architecture that cannot run here is skipped, with the reason."""
    try:
        return (yield)
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture
def build():
    """Builds a mixer from its spec; `perturbed` moves every parameter off its initial value (w_D starts at zero)."""

    def build(spec, *, width=16, length=LONGEST, seed=0, dtype=torch.float64, perturbed=False):
        entry, values = architectures.parse(spec)
        generator = torch.Generator().manual_seed(seed)
        mixer = entry.create(values, width=width, length=length, grid=(1, length), generator=generator).to(dtype)
        if perturbed:
            with torch.no_grad():
                for parameter in mixer.parameters():
                    parameter += 0.3 * torch.randn(parameter.shape, generator=generator).to(dtype)
        return mixer

    return build
