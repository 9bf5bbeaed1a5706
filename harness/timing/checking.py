"""Does the path that ran compute what it should? A mixer against its plain float64 reference."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from harness.contracts.mixer import Mixer


def errors_against_reference(mixer: Mixer, x: Tensor, coordinates: Tensor, sequences: int = 4) -> tuple[float, float]:
    """How far a mixer's output and input gradient stand from its plain float64 reference.

    The fast path runs at the full shape; the reference, which may be slow, on the first few sequences of the batch.

    Args:
        x: [batch, length, width]. coordinates: [1, length, 2].

    Returns:
        (output, gradient): largest difference over the reference's largest entry.
    """
    weight = _weight(x)
    fast, fast_gradient = _output_and_gradient(mixer, x, coordinates, weight)
    plain = copy.deepcopy(mixer).double()
    slow, slow_gradient = _output_and_gradient(
        plain.reference, x[:sequences].double(), coordinates, weight[:sequences].double()
    )
    return relative_difference(fast[:sequences], slow), relative_difference(fast_gradient[:sequences], slow_gradient)


def reach_of(mixer: Mixer) -> int | None:
    """How many steps ahead an output of the mixer looks; None where it sees all of them."""
    return 0 if mixer.causal else getattr(mixer, "window", None)


def errors_on_prefix(mixer: Mixer, x: Tensor, coordinates: Tensor, steps: int, reach: int = 0) -> tuple[float, float]:
    """The same where the reference cannot run on the whole length: exact for a mixer that looks ahead a bounded way.

    The fast path runs at the full length. Its first `steps - reach` outputs depend on the first `steps` inputs alone,
    so the reference on those must give the same outputs, and the same gradient of their weighted sum; behind the
    prefix that gradient must be zero. What only goes wrong later, such as rounding that grows with length, shows in
    the second comparison, over the whole length: with the same path run in float64.

    Args:
        mixer: causal, or with outputs that depend on no step more than `reach` later.
        x: [batch, length, width]. coordinates: [1, length, 2]. steps: length of the prefix.

    Returns:
        (output, gradient): the larger of either comparison.
    """
    kept = steps - reach
    assert 0 < kept <= steps < x.shape[1]
    weight = _weight(x)
    early = weight.clone()
    early[:, kept:] = 0
    fast, fast_gradient = _output_and_gradient(mixer, x, coordinates, early)
    plain = copy.deepcopy(mixer).double()
    slow, slow_gradient = _output_and_gradient(
        plain.reference, x[:1, :steps].double(), coordinates[:, :steps], early[:1, :steps].double()
    )
    expected = torch.nn.functional.pad(slow_gradient, (0, 0, 0, x.shape[1] - steps))
    output = relative_difference(fast[:1, :kept], slow[:, :kept])
    gradient = relative_difference(fast_gradient[:1], expected)

    fast, fast_gradient = _output_and_gradient(mixer, x, coordinates, weight)
    exact, exact_gradient = _output_and_gradient(plain, x[:1].double(), coordinates, weight[:1].double())
    output = _larger(output, relative_difference(fast[:1], exact))
    return output, _larger(gradient, relative_difference(fast_gradient[:1], exact_gradient))


def _weight(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.device)


def _output_and_gradient(run: Any, x: Tensor, coordinates: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = run(x, None, coordinates)
    (gradient,) = torch.autograd.grad((y * weight).sum(), x)
    return y.detach(), gradient


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest entry of `expected`."""
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return float((found.double() - expected).abs().max() / scale)


def _larger(*errors: float) -> float:
    return math.nan if any(map(math.isnan, errors)) else max(errors)
