"""The simplified gated recurrence (arXiv 2602.12499, Eqs. 2-5), three ways that agree.

    y_t = sum_{s<=t} w_ts (q_t . k_s) v_s,   w_ts = sigmoid(u_s) prod_{s<j<=t} (1 - sigmoid(u_j))

`gated_reference` runs the recurrence as it is printed, `gated_quadratic` holds all length x length weights,
`gated_chunked` does so within chunks and carries a state between them. All take any dtype and any saturation.

The numerics of the two fast forms: logarithms of the gates come from logsigmoid, their cumulative sum and its
differences are float64 whatever the inputs are, and the future is masked before the exponential. A float32 sum errs to
3e-4, and log(1 - sigmoid), an exponential before the mask or ratios of products give NaN.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from harness.contracts.mixer import Steps

from .chunks import LOG2_E, decayed_before

Keys: TypeAlias = Float[Tensor, "batch length state"]
Gates: TypeAlias = Float[Tensor, "#batch length"]


def gated_reference(queries: Keys, keys: Keys, values: Steps, u: Gates) -> Steps:
    """The recurrence H_t = (1 - sigmoid(u_t)) H_{t-1} + sigmoid(u_t) v_t k_t^T with y_t = H_t q_t, step by step."""
    state = values.new_zeros(values.shape[0], values.shape[2], keys.shape[2])
    outputs = []
    for q, k, v, gate_input in zip(queries.unbind(1), keys.unbind(1), values.unbind(1), u.unbind(1), strict=True):
        gate, decay = torch.sigmoid(gate_input), torch.sigmoid(-gate_input)  # sigmoid(-u) = 1 - sigmoid(u)
        written = v[:, :, None] * k[:, None, :]
        state = decay[:, None, None] * state + gate[:, None, None] * written
        outputs.append((state @ q[:, :, None])[:, :, 0])
    return torch.stack(outputs, dim=1)


def gated_quadratic(queries: Keys, keys: Keys, values: Steps, u: Gates) -> Steps:
    """The same sum as one masked length x length product a sequence."""
    gate, decay = _log2_gates(u)
    weights = _weights(gate, decay.cumsum(-1), values.dtype)
    return (weights * (queries @ keys.transpose(-1, -2))) @ values


def gated_chunked(queries: Keys, keys: Keys, values: Steps, u: Gates, chunk: int = 32) -> Steps:
    """The quadratic form within chunks of `chunk` steps, and a state handed from each chunk to the next."""
    length = values.shape[1]
    missing = -length % chunk
    queries, keys, values = (
        F.pad(tensor, (0, 0, 0, missing)).unflatten(1, (-1, chunk)) for tensor in (queries, keys, values)
    )
    gate, decay = _log2_gates(F.pad(u, (0, missing)).unflatten(1, (-1, chunk)))
    total = decay.cumsum(-1)

    within = (_weights(gate, total, values.dtype) * (queries @ keys.transpose(-1, -2))) @ values

    to_the_end = torch.exp2((total[..., -1:] - total + gate).to(values.dtype))
    written = (values * to_the_end[..., None]).transpose(-1, -2) @ keys
    kept = torch.exp2(total[..., -1].to(values.dtype))[..., None, None]
    from_the_start = torch.exp2(total.to(values.dtype))[..., None]
    across = from_the_start * (queries @ decayed_before(kept, written, dim=1).transpose(-1, -2))
    return (within + across).flatten(1, 2)[:, :length]


def _log2_gates(u: Tensor) -> tuple[Tensor, Tensor]:
    """log2 of sigmoid(u) and of 1 - sigmoid(u), in float64."""
    u = u.double()
    return F.logsigmoid(u) * LOG2_E, F.logsigmoid(-u) * LOG2_E


def _weights(gate: Tensor, total: Tensor, dtype: torch.dtype) -> Tensor:
    """w_ts [..., length, length] from log2 gates and the cumulative sum of log2 decays; 0 where s > t.

    exp2 rather than exp: torch.exp on a CPU is 10 to 25 times slower once results underflow.
    """
    exponent = (total[..., :, None] - (total - gate)[..., None, :]).to(dtype)
    future = torch.ones(exponent.shape[-2:], dtype=torch.bool, device=exponent.device).triu(1)
    return exponent.masked_fill_(future, -math.inf).exp2_()
