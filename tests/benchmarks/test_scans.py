"""Speed of every registered scan: making its routes once, and bringing a batch into its order and back."""

import pytest
import torch

from harness.contracts.errors import Unsupported
from harness.model.routed import Permute
from harness.registry import scans
from harness.registry.routing import scan_from

BATCH, WIDTH = 16, 32
SIDES = {"peano": 27}  # a power of three; every other order gets a power of two
SIDE = 32


@pytest.mark.parametrize("name", scans.names())
def test_routes(benchmark, name):
    side = SIDES.get(name, SIDE)
    scan = scan_from(name)[2]
    benchmark.group = f"making the routes of a {SIDE} x {SIDE} grid (peano: 27 x 27)"
    benchmark.pedantic(scan.routes, args=((side, side),), rounds=10, warmup_rounds=1)
    benchmark.extra_info.update(cells_per_second=side * side / benchmark.stats.stats.median, grid=[side, side])


@pytest.mark.parametrize("name", scans.names())
def test_permutation(benchmark, name):
    torch.set_num_threads(1)
    side = SIDES.get(name, SIDE)
    try:
        routes = torch.from_numpy(scan_from(name)[2].routes((side, side)))
    except Unsupported as error:
        pytest.skip(str(error))
    ranks = torch.argsort(routes, dim=1)
    x = torch.randn(BATCH, side * side, WIDTH)

    def there_and_back():
        for route, rank in zip(routes, ranks, strict=True):
            Permute.apply(Permute.apply(x, route, rank), rank, route)

    benchmark.group = f"all routes there and back, batch {BATCH}, {SIDE} x {SIDE} cells (peano: 27 x 27), width {WIDTH}"
    benchmark.pedantic(there_and_back, rounds=10, warmup_rounds=2)
    benchmark.extra_info.update(
        tokens_per_second=BATCH * side * side / benchmark.stats.stats.median,
        routes=len(routes),
        shape=[BATCH, side * side, WIDTH],
    )
