"""A gated average h_t = (1 - z_t) h_{t-1} + z_t c_t of positive numbers, as a recurrence and as a scan of logarithms.

    log h_t = a_t + logcumsumexp_s<=t (log z_s + log c_s - a_s),   a_t = sum_{s<=t} log(1 - z_s)   (arXiv 2410.01201)

The sums are float64 whatever the inputs: a_t grows with the length, and its last digits are those of h_t.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def candidate(x: Tensor) -> Tensor:
    """The function g of arXiv 2410.01201, positive and continuous: x + 1/2 from 0 on, sigmoid(x) below."""
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def log_candidate(x: Tensor) -> Tensor:
    """The logarithm of g, of which neither side overflows where the other is taken."""
    return torch.where(x >= 0, torch.log(F.relu(x) + 0.5), F.logsigmoid(x))


def gated_average_reference(
    gate: Float[Tensor, "batch length width"], candidates: Float[Tensor, "batch length width"]
) -> Float[Tensor, "batch length width"]:
    """The recurrence, step by step, from what z is the sigmoid of and c is g of; h starts at 0."""
    state = torch.zeros_like(gate[:, 0])
    states = []
    for opening, value in zip(torch.sigmoid(gate).unbind(1), candidate(candidates).unbind(1), strict=True):
        state = (1 - opening) * state + opening * value
        states.append(state)
    return torch.stack(states, dim=1)


def gated_average_log_scan(
    gate: Float[Tensor, "batch length width"], candidates: Float[Tensor, "batch length width"]
) -> Float[Tensor, "batch length width"]:
    """The same by sums of logarithms."""
    opening = gate.double()
    kept = F.logsigmoid(-opening).cumsum(1)
    written = F.logsigmoid(opening) + log_candidate(candidates.double())
    return torch.exp(kept + torch.logcumsumexp(written - kept, dim=1)).to(gate.dtype)
