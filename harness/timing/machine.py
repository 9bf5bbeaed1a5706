"""What one thread of this machine can do at best: the ceilings that speeds are read against."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .sampling import seconds_of

SAMPLES = 5
SIDE = 512
COPIED_FLOATS = 2**24
EXPONENTIALS = 2**16
CEILING_SECONDS = 0.05
"""Each sample repeats for about this long."""


@dataclass(frozen=True, kw_only=True)
class MachinePeaks:
    """Medians for one thread, float32.

    product_gflops: multiplications and additions of a 512 x 512 matrix product, 10^9 a second.
    copy_gigabytes: bytes read and written by a copy of 64 MiB, 10^9 a second.
    exponential_giga: torch.exp of numbers in a cache, 10^9 a second.
    """

    product_gflops: float
    copy_gigabytes: float
    exponential_giga: float


def machine_peaks() -> MachinePeaks:
    """Measure, in about a second; torch's threads are left as they were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
        product = torch.empty(SIDE, SIDE)
        source = torch.ones(COPIED_FLOATS)
        target = torch.empty_like(source)
        # Far from underflow: below -87 torch.exp is many times slower, which is no ceiling.
        exponents = torch.rand(EXPONENTIALS, generator=generator)
        powers = torch.empty_like(exponents)
        return MachinePeaks(
            product_gflops=2 * SIDE**3 / _median(lambda: torch.mm(a, b, out=product)) / 1e9,
            copy_gigabytes=2 * source.nbytes / _median(lambda: target.copy_(source)) / 1e9,
            exponential_giga=EXPONENTIALS / _median(lambda: torch.exp(exponents, out=powers)) / 1e9,
        )
    finally:
        torch.set_num_threads(before)


def _median(run: Callable[[], Any]) -> float:
    run()
    number = max(1, round(CEILING_SECONDS / seconds_of(run)))
    return statistics.median(seconds_of(run, number) for _ in range(SAMPLES))
