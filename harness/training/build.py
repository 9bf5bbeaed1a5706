"""From a cell's texts to its mixers: routes checked, every initialization drawn from a seed of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from harness.contracts import Task, one_sequence
from harness.contracts.errors import Unsupported
from harness.contracts.mixer import Mixer
from harness.contracts.seeds import seed_of
from harness.model.routed import Routing, routing_of
from harness.registry.cells import Cell, architecture_of, protocol_of, scan_of, task_of


def check_cell(cell: Cell) -> None:
    """Build a cell's parts once, so that what the user got wrong (UserError) is said before anything long starts."""
    protocol_of(cell).check(cell, task_of(cell))


def mixing(
    cell: Cell, task: Task, shape: str, *, width: int, seed: int, longest: int = 0
) -> tuple[Routing, Callable[[int, int], Mixer]]:
    """What a cell's layers follow, and what makes the mixer of a layer and a route.

    Args:
        shape: the part of the protocol that decides the parameters' shapes; the seeds of initialization hold it.
        longest: cells of the longest sequence that the mixers meet, where that is none of training.

    Raises:
        Unsupported: a scan that does not fit the grid, an architecture that cannot run here.
        UserError: parameters that do not go together.
    """
    scan = scan_of(cell)
    if task.irregular and scan.segments is not one_sequence:
        raise Unsupported(f"scan {cell.scan} cuts a whole grid into sequences", "take another for cells with holes")
    routing = routing_of(scan, task.grid, subject=f"scan {cell.scan}")
    entry, values = architecture_of(cell)

    def make_mixer(layer: int, route: int) -> Mixer:
        mixer_seed = seed_of(
            kind="mixer", architecture=cell.architecture, protocol=shape, seed=seed, layer=layer, route=route
        )
        generator = torch.Generator().manual_seed(mixer_seed)
        return entry.create(values, width=width, length=max(longest, task.longest), grid=task.grid, generator=generator)

    return routing, make_mixer


def backbone_generator(task: Task, shape: str, seed: int) -> torch.Generator:
    """What the backbone is initialized from; `shape` as for `mixing`."""
    # kind is hashed: another word would be another initialization.
    return torch.Generator().manual_seed(seed_of(kind="frame", protocol=shape, features=task.features, seed=seed))
