"""The small runs that several pieces train."""

from __future__ import annotations

from harness.registry.cells import Cell, Run, cell_from

from .bench import Bench

TRAINED = ("gated-ssm", "mamba", "global-attention", "local-attention", "min-gru", "linear-attention")
"""One of each kind of kernel."""

TRAINING = ("harness.training.execute", "harness.training.execute_together", "harness.training.protocols.standard")
"""Modules of what these pieces try."""

STEPS = 20
"""Few enough that rounding has not grown into another trajectory."""


def cell(architecture: str, bench: Bench, *, steps: int = STEPS, more: str = "") -> Cell:
    """A run of `locality2d` along Hilbert's curve under the standard protocol."""
    side, width, samples = bench.pick((8, 64, 512), (4, 16, 32))
    settings = f"steps={steps},batch_size={bench.pick(64, 16)},width={width},evaluate_every={steps}{more}"
    protocol = f"standard:{settings},validation_samples={samples},test_samples={samples}"
    return cell_from(f"locality2d:height={side},width={side}", architecture, "hilbert", protocol)


def runs(architecture: str, count: int, bench: Bench, *, dtype: str = "float32", steps: int = STEPS) -> list[Run]:
    """The same with so many seeds."""
    found = cell(architecture, bench, steps=steps)
    return [Run(cell=found, seed=seed, device=bench.device, dtype=dtype) for seed in range(count)]
