"""The standard backbone around a mixer: embedding, blocks, norm, readout, classifier."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from harness.contracts.mixer import Mixer
from harness.contracts.norm import RMSNorm

from .routed import RoutedMixer, Routing, TokenCoordinates, gather_tokens, padded_route

EMBEDDING_SPREAD = 0.02
"""Standard deviation of trained embeddings of ids and places at the start, as in GPT-2 and in HazyResearch/zoology."""


class SwiGLU(nn.Module):
    """out(silu(gate(x)) * value(x)), without biases.

    Source: Shazeer, "GLU variants improve transformer", arXiv 2002.05202, Eq. 6.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.value = nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.out(nn.functional.silu(self.gate(x)) * self.value(x))


class Block(nn.Module):
    """norm, mixer, residual, norm, MLP, residual; of the last three none with mlp "none"."""

    def __init__(self, mixer: RoutedMixer, width: int, expansion: int, mlp: str = "gelu"):
        super().__init__()
        hidden = expansion * width
        self.mixer_norm = RMSNorm(width)
        self.mixer = mixer
        self.mlp_norm = None if mlp == "none" else RMSNorm(width)
        self.mlp: nn.Module | None = None
        if mlp == "gelu":
            self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        elif mlp == "swiglu":
            self.mlp = SwiGLU(width, hidden)

    def forward(self, x: Tensor, mask: Tensor | TokenCoordinates | None = None, in_order: bool = False) -> Tensor:
        x = x + self.mixer(self.mixer_norm(x), mask, in_order)
        return x if self.mlp is None or self.mlp_norm is None else x + self.mlp(self.mlp_norm(x))


class AttentionPool(nn.Module):
    """A weighted mean of the cells, with weights softmax(w^T (tanh(V x) * sigmoid(U x))) over the real ones.

    Order-blind. The hidden layer is as wide as the cells.

    Source: Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", ICML 2018, Eqs. 7 and 9.
    """

    def __init__(self, width: int):
        super().__init__()
        self.value = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "batch cells width"], mask: Bool[Tensor, "batch cells"] | None = None
    ) -> Float[Tensor, "batch width"]:
        """Pool the cells; where a sequence has no real cell, its mean is returned."""
        scores = self.score(torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))).squeeze(-1)
        if mask is not None:
            # The lowest number, not -inf: a row of padding alone stays finite, and so does its gradient.
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            x = x.masked_fill(~mask[..., None], 0)
        return torch.einsum("bc,bcw->bw", scores.softmax(1).to(x.dtype), x)


class CellDecoder(nn.Module):
    """What stands in each cell, from one vector a sequence: the vector and a sinusoidal encoding of the cell, added up,
    go through two layers, each norm, linear, GELU, without a residual.

    Source: the decoder of the auto-encoder in athms/mad-lab, mad/model/auto_encoder.py (Poli et al., arXiv 2403.17844).
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(part for _ in range(2) for part in (RMSNorm(width), nn.Linear(width, width), nn.GELU())), RMSNorm(width)
        )

    def forward(self, x: Float[Tensor, "batch width"], cells: int) -> Float[Tensor, "batch {cells} width"]:
        """Decode `cells` cells."""
        width = x.shape[-1]
        frequencies = 10_000.0 ** -(torch.arange((width + 1) // 2, device=x.device) / max(1, (width + 1) // 2 - 1))
        angles = torch.arange(cells, device=x.device)[:, None] * frequencies
        places = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width]
        return self.layers(x[:, None] + places.to(x.dtype))


class StandardModel(nn.Module):
    """Embedding, blocks, norm, readout, classifier: the backbone that is the same for every mixer.

    gather_once: with one sequence, reorder the tokens once instead of in every layer; the result is the same.

    Args:
        features: width of a token. classes: number of classes. width: width of the model.
        vocabulary: tokens are ids below this; 0: they are vectors.
        mlp: "gelu", "swiglu" or "none". cells: of the longest sequence.
        positions: "learned" adds a trained vector for each cell to its embedding, whatever the scan; "none".
        tied_head: the classifier's weights are the embeddings of the ids; it has no bias.
        make_mixer: (layer, route) -> a mixer; called once a layer, or once a layer and route with own parameters.
        routing: what the layers follow.
        readout: "mean" over real cells; "attention" over them (`AttentionPool`); or "last": the mean over the last
            layer's sequences of each one's final real step. "cells" reads nothing out: every cell is classified.
            "decoded" decodes what "last" reads cell by cell (`CellDecoder`).
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
        vocabulary: int = 0,
        mlp: str = "gelu",
        positions: str = "none",
        cells: int = 0,
        tied_head: bool = False,
    ):
        super().__init__()
        self.readout = readout
        self.gather_once = routing.is_plain
        self.width, self.vocabulary = width, vocabulary
        self.embed = _id_embedding(vocabulary, width) if vocabulary else nn.Linear(features, width)
        table = EMBEDDING_SPREAD * torch.randn(cells, width) if positions == "learned" else None
        self.positions = None if table is None else nn.Parameter(table)
        self.blocks = nn.ModuleList(
            Block(routed_mixer(layer, make_mixer, routing, width), width, expansion, mlp) for layer in range(depth)
        )
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, classes, bias=not tied_head)
        if tied_head:
            self.head.weight = self.embed.weight
        self.pool = AttentionPool(width) if readout == "attention" else None
        self.decoder = CellDecoder(width) if readout == "decoded" else None

    def follow(self, routing: Routing) -> None:
        """Take other routes, as many as before; the parameters stay what they are."""
        for layer, block in enumerate(self.blocks):
            block.mixer.follow(routing.of_layer(layer))  # type: ignore[union-attr, operator]
        self.gather_once = routing.is_plain

    def permute(self, tokens: Shaped[Tensor, "batch cells features"]) -> Shaped[Tensor, "batch cells features"]:
        """Bring tokens into the order of the only route; with several routes the mixers do it, layer by layer."""
        return gather_tokens(tokens, self.first.routes[0]) if self.gather_once else tokens

    def forward(
        self,
        tokens: Shaped[Tensor, "batch cells features"],
        mask: Bool[Tensor, "batch cells"] | TokenCoordinates | None = None,
        asked: Bool[Tensor, "batch cells"] | None = None,
    ) -> Float[Tensor, "*places classes"]:
        """Class scores of tokens in cell order; a class for each cell, in cell order, with readout "cells".

        mask: True where a cell is real, or where the cells of irregular sequences lie; None: the grid's, all real.
        asked: with a class for each cell, those that are classified, [asked, classes]; None: all.
        """
        in_order = self.gather_once and mask is None
        x = self._embedded(self.permute(tokens) if in_order else tokens, in_order)
        for block in self.blocks:
            x = block(x, mask, in_order)
        read = self._read(self.norm(x), mask, in_order)
        return self.head(read if asked is None else read[asked])

    def _embedded(self, tokens: Tensor, in_order: bool) -> Tensor:
        # The residual stream keeps the parameters' dtype under autocast too.
        x = self.embed(tokens[..., 0] if self.vocabulary else tokens).to(self.embed.weight.dtype)
        if self.positions is None:
            return x
        places = self.positions[: x.shape[1]]
        return x + (places[self.first.routes[0]] if in_order else places)

    def _read(self, x: Tensor, mask: Tensor | TokenCoordinates | None, in_order: bool) -> Tensor:
        if self.readout == "cells":
            return self.first.permute(x, self.first.ranks[0], self.first.routes[0]) if in_order else x  # type: ignore[return-value]
        if self.readout in ("last", "decoded"):
            final = x[:, -1] if in_order else self._final_steps(x, mask)
            return final if self.decoder is None else self.decoder(final, x.shape[1])
        mask = mask.mask if isinstance(mask, TokenCoordinates) else mask
        if self.pool is not None:
            return self.pool(x, mask)
        if mask is None:
            return reduce(x, "batch cells width -> batch width", "mean")
        weights = mask[..., None].to(x.dtype)
        return (x * weights).sum(1) / weights.sum(1).clamp(min=1)

    def _final_steps(self, x: Tensor, mask: Tensor | TokenCoordinates | None) -> Tensor:
        last: RoutedMixer = self.blocks[-1].mixer  # type: ignore[assignment]
        if isinstance(mask, TokenCoordinates):
            final = (mask.lengths - 1)[:, None]
            return gather_tokens(
                x, torch.cat([mask.route(order)[0].gather(1, final) for order in last.orders], 1)
            ).mean(1)
        sequences = [sequence for route in last.routes for sequence in route.split(last.segments)]
        if mask is None:
            return x[:, torch.stack([sequence[-1] for sequence in sequences])].mean(1)
        final = torch.stack([mask[:, sequence].sum(1) - 1 for sequence in sequences], 1)
        cells = [
            padded_route(sequence, mask).gather(1, final[:, [k]].clamp(min=0)) for k, sequence in enumerate(sequences)
        ]
        weights = (final >= 0)[..., None].to(x.dtype)  # a sequence of which nothing is there has no final step
        return (gather_tokens(x, torch.cat(cells, 1)) * weights).sum(1) / weights.sum(1).clamp(min=1)

    @property
    def first(self) -> RoutedMixer:
        return self.blocks[0].mixer  # type: ignore[union-attr, return-value]

    @property
    def kernel(self) -> str:
        """What the first layer's mixer really ran."""
        return self.first.mixers[0].kernel  # type: ignore[return-value]


def _id_embedding(vocabulary: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(vocabulary, width)
    nn.init.normal_(embedding.weight, std=EMBEDDING_SPREAD)
    return embedding


def routed_mixer(layer: int, make_mixer: Callable[[int, int], Mixer], routing: Routing, width: int) -> RoutedMixer:
    """The mixers of one layer, and what they follow."""
    mixers = [make_mixer(layer, route) for route in range(routing.mixers_a_layer)]
    return RoutedMixer(mixers, routing.of_layer(layer), width)
