"""Mamba-3's recurrence of outer products: one decay a head and step, each input written at two steps.

    S_t = a_t (S_{t-1} + (1 - l_t) d_t k_{t-1} v_{t-1}^T) + l_t d_t k_t v_t^T,   o_t = S_t^T q_t

The trapezoidal rule of arXiv 2603.15569 with q = C, k = B, v = x, step size d = Delta, a = exp(Delta A) and l = lambda.
With l = 1 it is Mamba-2's. Heads can make their own queries and keys out of shared ones: `Turn`.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .scalar_decay import CHUNK, scalar_decay_chunked
from .scalar_scan import Turn, scalar_scan
from .shapes import Keys, Scalars, Values

Shared: TypeAlias = Float[Tensor, "batch groups length state"]
"""Queries or keys of each head, or of all heads where they turn."""


def turned(
    vectors: Float[Tensor, "batch heads length state"],
    cosine: Float[Tensor, "batch heads length angles"],
    sine: Float[Tensor, "batch heads length angles"],
) -> Float[Tensor, "batch heads length state"]:
    """Each pair of neighbours turned by its angle; numbers beyond the last angle stay."""
    turning, still = vectors.split([2 * cosine.shape[-1], vectors.shape[-1] - 2 * cosine.shape[-1]], dim=-1)
    first, second = turning.unflatten(-1, (-1, 2)).unbind(-1)
    pairs = torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    return torch.cat([pairs.flatten(-2), still], dim=-1)


def of_heads(queries: Shared, keys: Shared, turn: Turn | None) -> tuple[Keys, Keys]:
    """Each head's own queries and keys."""
    if turn is None:
        return queries, keys
    cosine, sine = turn.angle.cos(), turn.angle.sin()
    biased = queries + turn.q_bias[:, None], keys + turn.k_bias[:, None]
    return turned(biased[0], cosine, sine), turned(biased[1], cosine, sine)


def trapezoidal_reference(
    queries: Shared,
    keys: Shared,
    values: Values,
    log_decay: Scalars,
    step_size: Scalars,
    trapezoid: Scalars,
    turn: Turn | None = None,
) -> Values:
    """The recurrence, step by step; `log_decay` is the logarithm of a_t, `trapezoid` is l_t."""
    queries, keys = of_heads(queries, keys, turn)
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    last_input = torch.zeros_like(state)
    outputs = []
    scalars = (log_decay.exp(), (1 - trapezoid) * step_size, trapezoid * step_size)
    steps = [tensor.unbind(2) for tensor in (queries, keys, values, *(s[..., None, None] for s in scalars))]
    for q, k, v, decay, of_last, of_this in zip(*steps, strict=True):
        this_input = k[..., :, None] * v[..., None, :]
        state = decay * (state + of_last * last_input) + of_this * this_input
        last_input = this_input
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def trapezoidal_chunked(
    queries: Shared,
    keys: Shared,
    values: Values,
    log_decay: Scalars,
    step_size: Scalars,
    trapezoid: Scalars,
    turn: Turn | None = None,
    chunk: int = CHUNK,
) -> Values:
    """The same as one scan in chunks of `chunk` steps, and what a step reads of its own input.

    Beyond its own step an input weighs l_s d_s + (1 - l_{s+1}) d_{s+1}, decayed from step s on. The scan is given each
    input one step late, when that weight is known: nothing of the future is added and taken away again.
    """
    queries, keys = of_heads(queries, keys, turn)
    own = trapezoid * step_size
    weight = log_decay.exp() * (_one_late(own) + (1 - trapezoid) * step_size)
    before = weight[..., None] * _one_late(values, 2)
    mixed = scalar_decay_chunked(queries, _one_late(keys, 2), before, log_decay, chunk)
    return mixed + (own * (queries * keys).sum(-1))[..., None] * values


def trapezoidal_cpp(
    queries: Shared,
    keys: Shared,
    values: Values,
    log_decay: Scalars,
    step_size: Scalars,
    trapezoid: Scalars,
    turn: Turn | None = None,
) -> Values:
    """The same as one `scalar_scan`, which a step reads with another weight than it writes."""
    own = trapezoid * step_size
    next_step = F.pad((1 - trapezoid) * step_size, (0, 1))[..., 1:]
    return scalar_scan(queries, keys, values, log_decay, own + next_step, own, turn)


def _one_late(tensor: Tensor, dimension: int = -1) -> Tensor:
    """Each step holds what stood at the step before, the first zeros."""
    after = tensor.dim() - 1 - dimension % tensor.dim()
    return F.pad(tensor, (0, 0) * after + (1, -1))
