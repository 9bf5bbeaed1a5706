"""The standard frame around a mixer: embedding, blocks, norm, readout, classifier."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .mixer import Mixer
from .pooling import AttentionPool
from .routed import Places, RoutedMixer, Routing, steps_of, take


class Block(nn.Module):
    """norm, mixer, residual, norm, MLP, residual."""

    def __init__(self, mixer: RoutedMixer, width: int, expansion: int):
        super().__init__()
        self.mixer_norm = nn.RMSNorm(width)
        self.mixer = mixer
        self.mlp_norm = nn.RMSNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor, mask: Tensor | Places | None = None, in_order: bool = False) -> Tensor:
        x = x + self.mixer(self.mixer_norm(x), mask, in_order)
        return x + self.mlp(self.mlp_norm(x))


class StandardModel(nn.Module):
    """Embedding, blocks, norm, readout, classifier: the frame that is the same for every mixer.

    Args:
        features: width of a token. classes: number of classes. width: width of the model.
        make_mixer: (layer, route) -> a mixer; called once a layer, or once a layer and route with own parameters.
        routing: what the layers follow.
        readout: "mean" over real cells; "attention" over them (`AttentionPool`); or "last": the mean over the last
            layer's sequences of each one's final real step. "cells" reads nothing out: every cell is classified.
        gather_once: with one sequence, reorder the tokens once instead of in every layer; the result is the same.
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
        routing: Routing,
        gather_once: bool = True,
    ):
        super().__init__()
        self.readout = readout
        self._may_gather_once = gather_once
        self.gather_once = gather_once and routing.is_plain
        self.embed = nn.Linear(features, width)
        self.blocks = nn.ModuleList(
            Block(routed_mixer(layer, make_mixer, routing, width), width, expansion) for layer in range(depth)
        )
        self.norm = nn.RMSNorm(width)
        self.classify = nn.Linear(width, classes)
        self.pool = AttentionPool(width) if readout == "attention" else None

    def follow(self, routing: Routing) -> None:
        """Take other routes, as many as before; the parameters stay what they are."""
        for layer, block in enumerate(self.blocks):
            block.mixer.follow(routing.of_layer(layer))  # type: ignore[union-attr, operator]
        self.gather_once = self._may_gather_once and routing.is_plain

    def permute(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, "batch cells features"]:
        """Bring tokens into the order of the only route; with several routes the mixers do it, layer by layer."""
        return take(tokens, self.first.routes[0]) if self.gather_once else tokens

    def forward(
        self,
        tokens: Float[Tensor, "batch cells features"],
        mask: Bool[Tensor, "batch cells"] | Places | None = None,
    ) -> Float[Tensor, "batch *cells classes"]:
        """Class scores of tokens in cell order; a class for each cell, in cell order, with readout "cells".

        mask: True where a cell is real, or where the cells of irregular sequences lie; None: the grid's, all real.
        """
        if self.gather_once and mask is None:
            return self.in_route_order(self.permute(tokens))
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.classify(self._read(self.norm(x), mask))

    def in_route_order(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, "batch *cells classes"]:
        """Class scores, as `forward` gives them, of tokens that `permute` has brought into the only route's order."""
        x = self._embed(tokens)
        for block in self.blocks:
            x = block(x, None, True)
        x = self.norm(x)
        if self.readout == "cells":
            return self.classify(self.first.permute(x, self.first.ranks[0], self.first.routes[0]))
        return self.classify(x[:, -1] if self.readout == "last" else self._pooled(x, None))

    def _embed(self, tokens: Tensor) -> Tensor:
        """The residual stream keeps the parameters' dtype under autocast too."""
        return self.embed(tokens).to(self.embed.weight.dtype)

    def _read(self, x: Tensor, mask: Tensor | Places | None) -> Tensor:
        if self.readout == "cells":
            return x
        if self.readout == "last":
            return self._final_steps(x, mask)
        return self._pooled(x, mask.mask if isinstance(mask, Places) else mask)

    def _pooled(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.pool is not None:
            return self.pool(x, mask)
        if mask is None:
            return reduce(x, "batch cells width -> batch width", "mean")
        weights = mask[..., None].to(x.dtype)
        return (x * weights).sum(1) / weights.sum(1).clamp(min=1)

    def _final_steps(self, x: Tensor, mask: Tensor | Places | None) -> Tensor:
        last: RoutedMixer = self.blocks[-1].mixer  # type: ignore[assignment]
        if isinstance(mask, Places):
            final = (mask.lengths - 1)[:, None]
            return take(x, torch.cat([mask.route(order)[0].gather(1, final) for order in last.orders], 1)).mean(1)
        sequences = [sequence for route in last.routes for sequence in route.split(last.segments)]
        if mask is None:
            return x[:, torch.stack([sequence[-1] for sequence in sequences])].mean(1)
        final = torch.stack([mask[:, sequence].sum(1) - 1 for sequence in sequences], 1)
        cells = [steps_of(sequence, mask).gather(1, final[:, [k]].clamp(min=0)) for k, sequence in enumerate(sequences)]
        weights = (final >= 0)[..., None].to(x.dtype)  # a sequence of which nothing is there has no final step
        return (take(x, torch.cat(cells, 1)) * weights).sum(1) / weights.sum(1).clamp(min=1)

    @property
    def first(self) -> RoutedMixer:
        """What the first layer follows."""
        return self.blocks[0].mixer  # type: ignore[union-attr, return-value]

    @property
    def kernel(self) -> str:
        """What the first layer's mixer really ran."""
        return self.first.mixers[0].kernel  # type: ignore[return-value]


def routed_mixer(layer: int, make_mixer: Callable[[int, int], Mixer], routing: Routing, width: int) -> RoutedMixer:
    """The mixers of one layer, and what they follow."""
    mixers = [make_mixer(layer, route) for route in range(routing.mixers_a_layer)]
    return RoutedMixer(mixers, routing.of_layer(layer), width)
