"""Reading a sequence out by attention: what multiple-instance learning does with a bag."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


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
