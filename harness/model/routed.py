"""Routing: every mixer call gathers tokens by route, mixes, scatters back by rank and merges the routes.

Tokens live in cell order outside of it. One route for all is the common case and costs one gather and one scatter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from harness.contracts import Grid, Order, Scan
from harness.contracts.mixer import Mixer
from harness.contracts.routes import check_routes, order_of_cells


class Permute(torch.autograd.Function):
    """Reorder steps by a permutation; the gradient goes back by its inverse, which beats index_add."""

    @staticmethod
    def forward(ctx, x: Tensor, route: Tensor, rank: Tensor) -> Tensor:
        ctx.save_for_backward(route, rank)
        return gather_tokens(x, route)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        route, rank = ctx.saved_tensors
        return Permute.apply(gradient, rank, route), None, None


def permute_plainly(x: Tensor, route: Tensor, rank: Tensor) -> Tensor:
    """The same with torch's own gradient, for `torch.func.vmap`, which Permute serves only at five times its cost."""
    return gather_tokens(x, route)


def gather_tokens(
    x: Float[Tensor, "batch cells width"], index: Int[Tensor, "*batch steps"]
) -> Float[Tensor, "batch steps width"]:
    """Steps of x at `index`, one for all sequences or one each."""
    if index.ndim == 1:
        return x.index_select(1, index)
    return torch.take_along_dim(x, index[..., None], dim=1)


def padded_route(
    route: Int[Tensor, " length"], mask: Bool[Tensor, "batch length"] | None
) -> Int[Tensor, "*batch length"]:
    """The gather index of each sequence: the route, restricted to real cells, padding moved behind them."""
    if mask is None:
        return route
    absent_last = torch.argsort((~mask[:, route]).to(torch.uint8), dim=1, stable=True)
    return route[absent_last]


class TokenCoordinates:
    """Where the cells of a batch of irregular sequences lie, and the routes through each of them once they were asked.

    cells: int [batch, length, 2], row and column, real cells first. mask: bool [batch, length], or None where all are
    real.
    """

    def __init__(self, cells: Int[Tensor, "batch length 2"], mask: Bool[Tensor, "batch length"] | None):
        self.cells, self.mask = cells, mask
        self._routes: dict[Order, tuple[Tensor, Tensor]] = {}

    def route(self, order: Order) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]:
        """Route and rank of every sequence: its cells in the order of the grid that bounds them, then its padding."""
        if order not in self._routes:
            cells = self.cells.cpu().numpy()
            routes = np.tile(np.arange(cells.shape[1]), (len(cells), 1))
            for route, places, length in zip(routes, cells, self.lengths.tolist(), strict=True):
                route[:length] = order_of_cells(order, places[:length])
            route = torch.from_numpy(routes).to(self.cells.device)
            self._routes[order] = route, torch.argsort(route, dim=1)
        return self._routes[order]

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Real cells of each sequence."""
        batch, length = self.cells.shape[:2]
        return torch.full((batch,), length, device=self.cells.device) if self.mask is None else self.mask.sum(1)

    def without_cache(self) -> TokenCoordinates:
        """The same without its routes: they are made anew."""
        return TokenCoordinates(self.cells, self.mask)


@dataclass(frozen=True, kw_only=True)
class Routing:
    """A scan on one grid, as the model needs it.

    routes: int64 [routes, cells], gather indices. scan: what made them, for sequences that are no whole grid too.
    segments: lengths that cut every route into sequences of their own; one length is one sequence.
    """

    routes: Tensor
    scan: Scan
    grid: Grid
    segments: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """One sequence for the whole model: tokens may be brought into its order once."""
        return len(self.routes) == 1 and len(self.segments) == 1

    @property
    def mixers_a_layer(self) -> int:
        return len(self.routes) if self.scan.own_parameters and not self.scan.per_layer else 1

    def of_layer(self, layer: int) -> Routing:
        """What one layer follows: everything, or its own route where routes are handed out layer by layer."""
        if not self.scan.per_layer:
            return self
        number = layer % len(self.routes)
        part = slice(number, number + 1)
        return replace(
            self, routes=self.routes[part], scan=replace(self.scan, orders=self.scan.orders[part], per_layer=False)
        )


def routing_of(scan: Scan, grid: Grid, *, subject: str) -> Routing:
    """A scan on a grid, held to visit every cell once on every route.

    Raises:
        Unsupported: the scan does not fit the grid.
        ValueError: a route is no permutation, or its segments do not add up to its cells.
    """
    cells = grid[0] * grid[1]
    routes = check_routes(scan.routes(grid), cells, subject=subject)
    segments = scan.segment_lengths(grid)
    if sum(segments) != cells or min(segments) < 1:
        raise ValueError(f"{subject}: segments must be positive and add up to {cells} cells, got {list(segments)}")
    return Routing(routes=torch.from_numpy(routes), scan=scan, grid=grid, segments=segments)


class RoutedMixer(nn.Module):
    """One mixer, or one a route, applied along every route; outputs are merged in cell order.

    Args:
        mixers: one shared mixer, or as many as there are routes.
        routing: what this layer follows.
        width: of a token.

    directions: [routes, width], added to the tokens of each route; zero at the start.
    gates: [routes, width + 1], weights and bias of each route's gate; zero at the start, so every gate is one half.
    """

    routes: Tensor
    ranks: Tensor
    coordinates: Tensor
    directions: Tensor | None
    gates: Tensor | None

    def __init__(self, mixers: list[Mixer], routing: Routing, width: int):
        super().__init__()
        scan, count = routing.scan, len(routing.routes)
        assert len(mixers) in (1, count) and not scan.per_layer
        self.mixers = nn.ModuleList(mixers)
        self.width = width
        self.merge = scan.merge
        self.permute = Permute.apply
        several = count > 1
        self.directions = nn.Parameter(torch.zeros(count, width)) if scan.direction_embedding and several else None
        self.gates = nn.Parameter(torch.zeros(count, width + 1)) if scan.merge == "gated" and several else None
        for parameter in (self.directions, self.gates):
            if parameter is not None:
                parameter._no_weight_decay = True  # type: ignore[attr-defined]
        for name in ("routes", "ranks", "coordinates"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.follow(routing)

    def follow(self, routing: Routing) -> None:
        """Take other routes, as many as before; parameters stay."""
        routes = routing.routes.to(self.routes.device)
        if self.routes.numel() and len(routes) != len(self.routes):
            raise ValueError(f"a mixer that follows {len(self.routes)} routes cannot follow {len(routes)}")
        row, column = torch.div(routes, routing.grid[1], rounding_mode="floor"), routes % routing.grid[1]
        self.routes, self.ranks = routes, torch.argsort(routes, dim=1)
        self.coordinates = torch.stack([row, column], dim=-1)
        self.segments, self.orders = routing.segments, routing.scan.orders

    def forward(
        self,
        x: Float[Tensor, "batch cells width"],
        mask: Bool[Tensor, "batch cells"] | TokenCoordinates | None = None,
        in_order: bool = False,
    ) -> Float[Tensor, "batch cells width"]:
        """Mix along every route. in_order: x already stands in the order of the only route."""
        if in_order:
            return _same_shape(self.mixers[0](x, mask, self.coordinates[0][None]), x)
        outputs = [self._along(route, x, mask) for route in range(len(self.routes))]
        if len(outputs) == 1:
            return outputs[0]
        if self.gates is not None:
            opening = torch.sigmoid(x @ self.gates[:, :-1].T + self.gates[:, -1])
            outputs = [opening[..., k, None] * output for k, output in enumerate(outputs)]
        total = torch.stack(outputs).sum(0)
        return total / len(outputs) if self.merge == "mean" else total

    def _along(self, number: int, x: Tensor, mask: Tensor | TokenCoordinates | None) -> Tensor:
        mixer = self.mixers[number % len(self.mixers)]
        if self.directions is not None:
            x = x + self.directions[number]
        if isinstance(mask, TokenCoordinates):
            route, rank = mask.route(self.orders[number])
            x = self.permute(x, route, rank)  # type: ignore[assignment]
            return self.permute(_same_shape(mixer(x, mask.mask, gather_tokens(mask.cells, route)), x), rank, route)  # type: ignore[return-value]
        route, rank = self.routes[number], self.ranks[number]
        steps = self.permute(x, route, rank).split(self.segments, 1)  # type: ignore[union-attr]
        places = self.coordinates[number].split(self.segments)
        real = [None] * len(steps) if mask is None else mask[:, route].split(self.segments, 1)
        mixed = [_sequence(mixer, *parts, self.permute) for parts in zip(steps, real, places, strict=True)]
        return self.permute(mixed[0] if len(mixed) == 1 else torch.cat(mixed, 1), rank, route)  # type: ignore[return-value]


def _sequence(mixer: nn.Module, x: Tensor, mask: Tensor | None, places: Tensor, permute: Callable[..., Any]) -> Tensor:
    """Mix one sequence. Where steps are missing: real ones first, then all back to where they were."""
    if mask is None:
        return _same_shape(mixer(x, None, places[None]), x)
    steps = padded_route(torch.arange(x.shape[1], device=x.device), mask)
    rank = torch.argsort(steps, dim=1)
    real = mask.gather(1, steps)
    # A sequence without any real step is given one, so that no mixer meets nothing; nobody reads its output.
    real[:, 0] = True
    x = permute(x, steps, rank)
    return permute(_same_shape(mixer(x, real, places[steps]), x), rank, steps)


def _same_shape(mixed: Tensor, x: Tensor) -> Tensor:
    if mixed.shape != x.shape:
        raise ValueError(f"a mixer must return the shape it was given, {list(x.shape)}, got {list(mixed.shape)}")
    return mixed
