"""Speed of every registered architecture: mixer forward and backward, one thread, float32.

    python -m pytest tests/benchmarks --benchmark-only --benchmark-group-by=group

As a gate against regressions on one machine: `--benchmark-save=before`, and after a change
`--benchmark-compare='*_before' --benchmark-compare-fail=min:20%`, which then ends with exit code 1 (docs/speed.md).
"""

import pytest
import torch

from harness.contracts.errors import Unsupported
from harness.registry import architectures
from harness.timing.measure import errors_against_reference

BATCH, GRID, WIDTH = 16, (16, 16), 32
LENGTH = GRID[0] * GRID[1]


@pytest.mark.parametrize("phase", ["forward", "training"])
@pytest.mark.parametrize("name", architectures.names())
def test_mixer(benchmark, name, phase):
    torch.set_num_threads(1)
    entry = architectures.get(name)
    generator = torch.Generator().manual_seed(0)
    try:
        mixer = entry.create(entry.resolve({}), width=WIDTH, length=LENGTH, grid=GRID, generator=generator)
    except Unsupported as error:
        pytest.skip(str(error))
    x = torch.randn(BATCH, LENGTH, WIDTH, generator=generator, requires_grad=phase == "training")
    cells = torch.stack([torch.arange(LENGTH) // GRID[1], torch.arange(LENGTH) % GRID[1]], dim=-1)[None]

    def forward():
        with torch.no_grad():
            mixer(x, None, cells)

    def training():
        mixer(x, None, cells).sum().backward()

    error, gradient_error = errors_against_reference(mixer, x.detach(), cells)
    benchmark.group = f"mixer {phase}, batch {BATCH}, length {LENGTH}, width {WIDTH}, float32, 1 thread"
    benchmark.pedantic(forward if phase == "forward" else training, rounds=10, warmup_rounds=2)
    benchmark.extra_info.update(
        tokens_per_second=BATCH * LENGTH / benchmark.stats.stats.median,
        kernel=mixer.kernel,
        shape=[BATCH, LENGTH, WIDTH],
        relative_error=error,
        gradient_relative_error=gradient_error,
    )
