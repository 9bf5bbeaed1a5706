"""F(X) = (1/L) sum_l sum_i v_i relu(W_O[i] . y_l) with y from any mixer (arXiv 2602.12499, Eqs. 2-6)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from harness.contracts.mixer import Mixer
from harness.model.backbone import routed_mixer
from harness.model.routed import Routing

from .recipe import PaperRecipe


class PaperModel(nn.Module):
    """The mixer on the tokens themselves, a hidden layer, fixed output signs, the mean over cells.

    hidden: W_O [hidden, features], N(0, init_scale^2). signs: v [hidden], +-1/sqrt(hidden), not trained.

    Args:
        recipe: sizes and scales. Of several mixers one after the other (depth), each is added to its input and sees it
            at root mean square 1, as in mamba-ssm's own stacks.
        features: width of a token (d), and of the mixers.
        make_mixer: (layer, route) -> a mixer. routing: what the mixers follow.
        generator: W_O, and v where its signs are drawn, come from it.
    """

    signs: Tensor

    def __init__(
        self,
        recipe: PaperRecipe,
        *,
        features: int,
        make_mixer: Callable[[int, int], Mixer],
        routing: Routing,
        generator: torch.Generator,
    ):
        super().__init__()
        hidden = recipe.hidden
        self.hidden = nn.Parameter(recipe.init_scale * torch.randn(hidden, features, generator=generator))
        drawn = torch.randint(0, 2, (hidden,), generator=generator)
        positive = drawn == 1 if recipe.signs == "random" else torch.arange(hidden) < hidden // 2
        self.register_buffer("signs", torch.where(positive, 1.0, -1.0) / math.sqrt(hidden))
        self.routing = routing
        self.mixers = nn.ModuleList(routed_mixer(layer, make_mixer, routing, features) for layer in range(recipe.depth))
        # Walking through all modules for them takes a quarter of a small step's time.
        self.mixer_parameters = tuple(self.mixers.parameters())

    def mix(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, "batch cells features"]:
        """What the hidden layer sees at each cell."""
        if len(self.mixers) == 1:
            return self.mixers[0](tokens)
        for mixer in self.mixers:
            tokens = tokens + mixer(functional.rms_norm(tokens, tokens.shape[-1:]))
        return tokens

    def forward(self, tokens: Float[Tensor, "batch cells features"]) -> Float[Tensor, " batch"]:
        """F(X): its sign is the guess."""
        return (torch.relu(self.mix(tokens) @ self.hidden.T) @ self.signs).mean(1)

    @property
    def first_mixer(self) -> Mixer:
        return self.mixers[0].mixers[0]  # type: ignore[union-attr, return-value]

    @property
    def kernel(self) -> str:
        """What the first mixer really ran."""
        return self.first_mixer.kernel
