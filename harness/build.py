"""From a cell's texts to a model: routes checked, every initialization drawn from a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from .cells import Cell, cell_from, protocol_of, scan_of, task_of
from .contracts import Task, one_sequence
from .errors import Unsupported, UserError
from .matching import REFERENCE, matched_width
from .mixer import Mixer
from .model import StandardModel
from .protocols.paper import Paper
from .protocols.standard import Standard
from .registry import architectures
from .routed import Routing, routing_of
from .routing import scan_from
from .seeds import seed_of, seeded_torch

if TYPE_CHECKING:
    from .paper.model import PaperModel


def build_model(cell: Cell, task: Task, protocol: Standard, *, seed: int) -> StandardModel:
    """The model of a cell, initialized for a seed, on the CPU.

    The frame's initialization depends on (protocol shape, seed), a mixer's on (architecture, protocol shape, seed,
    layer, route): not on the scan or the learning rate, so cells are paired seed by seed.

    Raises:
        Unsupported: a scan that does not fit the grid, an architecture that cannot run here.
        UserError: parameters that do not go together.
    """
    width = protocol.width if protocol.match == "width" else _matched_width(cell, task, protocol)
    return _standard_model(cell, task, protocol, width=width, seed=seed)


def _matched_width(cell: Cell, task: Task, protocol: Standard) -> int:
    reference = cell_from(cell.task, REFERENCE, "horizontal", cell.protocol)
    return matched_width(
        protocol.match,
        lambda width: _standard_model(cell, task, protocol, width=width, seed=0),
        lambda: _standard_model(reference, task, protocol, width=protocol.width, seed=0),
        name=cell.architecture,
    )


def _standard_model(cell: Cell, task: Task, protocol: Standard, *, width: int, seed: int) -> StandardModel:
    routing, make_mixer = _parts(cell, task, protocol, width=width, seed=seed)
    frame_seed = seed_of(kind="frame", protocol=protocol.shape, features=task.features, seed=seed)
    with seeded_torch(torch.Generator().manual_seed(frame_seed)):
        return StandardModel(
            features=task.features,
            classes=task.classes,
            width=width,
            depth=protocol.depth,
            expansion=protocol.expansion,
            readout="cells" if task.asks_cells else protocol.readout,
            make_mixer=make_mixer,
            routing=routing,
        )


def build_paper_model(cell: Cell, task: Task, protocol: Paper, *, seed: int) -> PaperModel:
    """The model of a cell under the paper's protocol, on the CPU. Seeds and errors as for `build_model`."""
    from .paper.model import PaperModel

    routing, make_mixer = _parts(cell, task, protocol, width=task.features, seed=seed)
    frame_seed = seed_of(kind="frame", protocol=protocol.shape, features=task.features, seed=seed)
    return PaperModel(
        features=task.features,
        hidden=protocol.hidden,
        depth=protocol.depth,
        signs=protocol.signs,
        init_scale=protocol.init_scale,
        make_mixer=make_mixer,
        routing=routing,
        generator=torch.Generator().manual_seed(frame_seed),
    )


def _parts(
    cell: Cell, task: Task, protocol: Standard | Paper, *, width: int, seed: int
) -> tuple[Routing, Callable[[int, int], Mixer]]:
    scan = scan_of(cell)
    if task.irregular and scan.segments is not one_sequence:
        raise Unsupported(f"scan {cell.scan} cuts a whole grid into sequences", "take another for cells with holes")
    routing = routing_of(scan, task.grid, subject=f"scan {cell.scan}")
    entry, values = architectures.parse(cell.architecture)

    def make_mixer(layer: int, route: int) -> Mixer:
        mixer_seed = seed_of(
            kind="mixer",
            architecture=cell.architecture,
            protocol=protocol.shape,
            seed=seed,
            layer=layer,
            route=route,
        )
        generator = torch.Generator().manual_seed(mixer_seed)
        return entry.create(values, width=width, length=task.longest, grid=task.grid, generator=generator)

    return routing, make_mixer


def check_cell(cell: Cell) -> None:
    """Build a cell's parts once, so that what the user got wrong is said before anything long starts.

    Raises:
        UserError: the parts do not go together (heads do not divide the width, say).
    """
    task, protocol = task_of(cell), protocol_of(cell)
    if isinstance(protocol, Paper):
        build_paper_model(cell, task, protocol, seed=0)
        return
    model = build_model(cell, task, protocol, seed=0)
    for text in protocol.transfer:
        name, _, scan = scan_from(text)
        routes = len(routing_of(scan, task.grid, subject=f"scan {name}").of_layer(0).routes)
        if routes != len(model.first.routes):
            raise UserError(
                f"protocol transfer: the model follows {len(model.first.routes)} routes of {cell.scan}, and {name} has"
                f" {routes}; give scans of as many"
            )
