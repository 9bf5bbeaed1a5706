"""The standard frame around a mixer, and the routing that every mixer call goes through.

Tokens live in cell order. A mixer call gathers them by route, mixes, scatters back by rank and merges the routes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .contracts import Grid, Merge
from .mixer import Mixer


class Permute(torch.autograd.Function):
    """Reorder steps by a permutation; the gradient goes back by its inverse, which beats index_add."""

    @staticmethod
    def forward(ctx, x: Tensor, route: Tensor, rank: Tensor) -> Tensor:
        ctx.save_for_backward(route, rank)
        return _take(x, route)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        route, rank = ctx.saved_tensors
        return Permute.apply(gradient, rank, route), None, None


def permute_plainly(x: Tensor, route: Tensor, rank: Tensor) -> Tensor:
    """The same with torch's own gradient, for `torch.func.vmap`, which Permute serves only at five times its cost."""
    return _take(x, route)


def _take(x: Tensor, index: Tensor) -> Tensor:
    if index.ndim == 1:
        return x.index_select(1, index)
    return torch.take_along_dim(x, index[..., None], dim=1)


def steps_of(route: Int[Tensor, " length"], mask: Bool[Tensor, "batch length"] | None) -> Int[Tensor, "*batch length"]:
    """The gather index of each sequence: the route, restricted to real cells, padding moved behind them."""
    if mask is None:
        return route
    absent_last = torch.argsort((~mask[:, route]).to(torch.uint8), dim=1, stable=True)
    return route[absent_last]


class RoutedMixer(nn.Module):
    """One mixer, or one a route, applied along every route; outputs are merged in cell order.

    Args:
        mixers: one shared mixer, or as many as there are routes.
        routes: [routes, cells] gather indices.
        grid: (height, width) in cells.
        merge: how the routes' outputs become one.
    """

    routes: Tensor
    ranks: Tensor
    coordinates: Tensor

    def __init__(self, mixers: list[Mixer], routes: Tensor, grid: Grid, merge: Merge = "mean"):
        super().__init__()
        assert len(mixers) in (1, len(routes))
        self.mixers = nn.ModuleList(mixers)
        self.merge = merge
        self.permute = Permute.apply
        self.register_buffer("routes", routes, persistent=False)
        self.register_buffer("ranks", torch.argsort(routes, dim=1), persistent=False)
        row, column = torch.div(routes, grid[1], rounding_mode="floor"), routes % grid[1]
        self.register_buffer("coordinates", torch.stack([row, column], dim=-1), persistent=False)

    def forward(
        self,
        x: Float[Tensor, "batch cells width"],
        mask: Bool[Tensor, "batch cells"] | None = None,
        in_order: bool = False,
    ) -> Float[Tensor, "batch cells width"]:
        """Mix along every route. in_order: x already stands in the order of the only route."""
        if in_order:
            return _same_shape(self.mixers[0](x, mask, self.coordinates[0][None]), x)
        outputs = [self._along(route, x, mask) for route in range(len(self.routes))]
        if len(outputs) == 1:
            return outputs[0]
        total = torch.stack(outputs).sum(0)
        return total / len(outputs) if self.merge == "mean" else total

    def _along(self, number: int, x: Tensor, mask: Tensor | None) -> Tensor:
        mixer = self.mixers[number % len(self.mixers)]
        coordinates = self.coordinates[number]
        route = self.routes[number]
        if mask is None:
            rank = self.ranks[number]
            mixed = _same_shape(mixer(self.permute(x, route, rank), None, coordinates[None]), x)
            return self.permute(mixed, rank, route)  # type: ignore[return-value]
        steps = steps_of(route, mask)
        rank = torch.argsort(steps, dim=1)
        places = coordinates[torch.argsort(route)][steps]
        mixed = _same_shape(mixer(self.permute(x, steps, rank), mask.gather(1, steps), places), x)
        return self.permute(mixed, rank, steps)  # type: ignore[return-value]


def _same_shape(mixed: Tensor, x: Tensor) -> Tensor:
    if mixed.shape != x.shape:
        raise ValueError(f"a mixer must return the shape it was given, {list(x.shape)}, got {list(mixed.shape)}")
    return mixed


class Block(nn.Module):
    """norm, mixer, residual, norm, MLP, residual."""

    def __init__(self, mixer: RoutedMixer, width: int, expansion: int):
        super().__init__()
        self.mixer_norm = nn.RMSNorm(width)
        self.mixer = mixer
        self.mlp_norm = nn.RMSNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor, mask: Tensor | None = None, in_order: bool = False) -> Tensor:
        x = x + self.mixer(self.mixer_norm(x), mask, in_order)
        return x + self.mlp(self.mlp_norm(x))


class StandardModel(nn.Module):
    """Embedding, blocks, norm, readout, classifier: the frame that is the same for every mixer.

    Args:
        features: width of a token. classes: number of classes. width: width of the model.
        make_mixer: (layer, route) -> a mixer; called once a layer, or once a layer and route with own parameters.
        routes: [routes, cells] gather indices. own_parameters: a mixer for each route.
        readout: "mean" over real cells, or "last": the mean over routes of each route's final real step.
        gather_once: with a single route, reorder the tokens once instead of in every layer; the result is the same.
    """

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int,
        depth: int,
        expansion: int,
        readout: str,
        make_mixer: Callable[[int, int], Mixer],
        routes: Int[Tensor, "routes cells"],
        grid: Grid,
        merge: Merge = "mean",
        own_parameters: bool = False,
        gather_once: bool = True,
    ):
        super().__init__()
        self.readout = readout
        self.gather_once = gather_once and len(routes) == 1
        self.embed = nn.Linear(features, width)
        kinds = len(routes) if own_parameters else 1
        self.blocks = nn.ModuleList(
            Block(RoutedMixer([make_mixer(layer, k) for k in range(kinds)], routes, grid, merge), width, expansion)
            for layer in range(depth)
        )
        self.norm = nn.RMSNorm(width)
        self.classify = nn.Linear(width, classes)
        self.register_buffer("routes", routes, persistent=False)

    routes: Tensor

    def permute(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, "batch cells features"]:
        """Bring tokens into the order of the only route; with several routes the mixers do it, layer by layer."""
        return _take(tokens, self.routes[0]) if self.gather_once else tokens

    def forward(
        self, tokens: Float[Tensor, "batch cells features"], mask: Bool[Tensor, "batch cells"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Class scores of tokens in cell order."""
        if self.gather_once and mask is None:
            return self.in_route_order(self.permute(tokens))
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.classify(self._read(self.norm(x), mask))

    def in_route_order(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, "batch classes"]:
        """Class scores of tokens that `permute` has already brought into the only route's order."""
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x, None, True)
        x = self.norm(x)
        return self.classify(x.mean(1) if self.readout == "mean" else x[:, -1])

    def _embed(self, tokens: Tensor) -> Tensor:
        """The residual stream keeps the parameters' dtype under autocast too."""
        return self.embed(tokens).to(self.embed.weight.dtype)

    def _read(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.readout == "mean":
            if mask is None:
                return reduce(x, "batch cells width -> batch width", "mean")
            weights = mask[..., None].to(x.dtype)
            return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
        return torch.stack([self._final_step(x, route, mask) for route in self.routes]).mean(0)

    @staticmethod
    def _final_step(x: Tensor, route: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return x[:, route[-1]]
        last = mask.sum(1, keepdim=True).clamp(min=1) - 1
        cell = steps_of(route, mask).gather(1, last)
        return x.take_along_dim(cell[..., None], dim=1)[:, 0]

    @property
    def kernel(self) -> str:
        """What the first layer's mixer really ran."""
        return self.blocks[0].mixer.mixers[0].kernel  # type: ignore[union-attr, return-value]
