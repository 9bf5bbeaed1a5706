"""The simplified gated state space model of arXiv 2602.12499, and the same without its gate."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.contracts.mixer import Steps

from ..ops.gated_scan import gated_chunked, gated_quadratic, gated_reference
from .padding import StepMixer

CHUNK = 32

Projection: TypeAlias = Literal["identity", "shared", "gaussian"]


def uses_chunks(length: int, width: int) -> bool:
    """Chunks overtake the quadratic form between two and three times the width (training on one CPU thread)."""
    return length >= max(3 * width, 3 * CHUNK)


class _SimplifiedSSM(StepMixer):
    """y_t = sum_{s<=t} w_ts (W_B^T x_s).(W_C^T x_t) x_s; subclasses say from which u the weights w_ts come.

    state_size: the recurrence carries sum_s w_ts x_s (W_B^T x_s)^T, width x width numbers.
    """

    causal = True

    def __init__(
        self, width: int, generator: torch.Generator, projection: Projection, train_projections: bool, normalized: bool
    ):
        super().__init__()
        self.state_size = width * width
        self.scale = 1 / width if normalized else 1.0
        drawn: list[Tensor] = []
        if projection == "identity" and train_projections:
            drawn = [torch.eye(width), torch.eye(width)]
        elif projection != "identity":
            # Entries of variance 1 / width: W_B^T keeps the mean square of a token.
            drawn = [
                torch.randn(width, width, generator=generator) / math.sqrt(width)
                for _ in range(1 if projection == "shared" else 2)
            ]
        self.W_B: Tensor | None
        self.W_C: Tensor | None
        if train_projections:
            projections = [nn.Parameter(matrix) for matrix in drawn]
            self.W_B, self.W_C = projections[0], projections[-1]  # shared: one parameter under two names
        else:
            self.register_buffer("W_B", drawn[0] if drawn else None)
            self.register_buffer("W_C", drawn[-1] if drawn else None)

    def gate_input(self, x: Steps) -> Float[Tensor, "#batch length"]:
        """u, whose sigmoid is the gate at each step."""
        raise NotImplementedError

    def decays(self, x: Steps) -> Float[Tensor, "#batch length"]:
        """1 - sigmoid(u), the first factor under the product of Eq. 5."""
        return torch.sigmoid(-self.gate_input(x))

    def fixed_scores(self, x: Steps) -> Float[Tensor, "batch length length"] | None:
        assert self.scores_are_fixed
        if self.W_B is None or self.W_C is None:
            return None if self.scale == 1 else self.scale * (x @ x.transpose(1, 2))
        return self.scale * (x @ self.W_C) @ (x @ self.W_B).transpose(1, 2)

    def mix(self, x: Steps) -> Steps:
        # (W_B^T x_s).(W_C^T x_t) = (W_B W_C^T x_t).x_s: one product with a token instead of two.
        queries = x if self.W_B is None or self.W_C is None else x @ (self.W_C @ self.W_B.T)
        queries = queries * self.scale
        if uses_chunks(x.shape[1], x.shape[2]):
            self.path = f"gated chunk {CHUNK}"
            return gated_chunked(queries, x, x, self.gate_input(x), chunk=CHUNK)
        self.path = "gated quadratic"
        return gated_quadratic(queries, x, x, self.gate_input(x))

    def mix_plainly(self, x: Steps) -> Steps:
        b = x if self.W_B is None else x @ self.W_B
        c = x if self.W_C is None else x @ self.W_C
        return gated_reference(c * self.scale, b, x, self.gate_input(x))


class GatedSSM(_SimplifiedSSM):
    """Gates that see the token: u_t = w_D.x_t (arXiv 2602.12499, Eqs. 2-5).

    w_D: [width], zero at the start, so that every gate starts at one half.
    W_B, W_C: [width, width], parameters where they are trained, else buffers; None stands for the identity.
    """

    def __init__(
        self, width: int, generator: torch.Generator, projection: Projection, train_projections: bool, normalized: bool
    ):
        super().__init__(width, generator, projection, train_projections, normalized)
        self.w_D = nn.Parameter(torch.zeros(width))
        self.scores_are_fixed = not train_projections

    def gate_directions(self) -> Float[Tensor, "rows width"]:
        return self.w_D[None]

    def gate_input(self, x: Steps) -> Float[Tensor, "#batch length"]:
        return x @ self.w_D


class UngatedSSM(_SimplifiedSSM):
    """A constant gate: the same recurrence with Delta fixed."""

    def __init__(
        self,
        width: int,
        generator: torch.Generator,
        gate: float,
        projection: Projection,
        train_projections: bool,
        normalized: bool,
    ):
        super().__init__(width, generator, projection, train_projections, normalized)
        self.logit = math.log(gate / (1 - gate))
        self.scores_are_fixed = not train_projections and self.logit == 0
        self.register_buffer("w_D", torch.zeros(width), persistent=False)

    def gate_input(self, x: Steps) -> Float[Tensor, "#batch length"]:
        return x.new_full((1, x.shape[1]), self.logit)
