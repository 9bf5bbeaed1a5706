"""Mamba-3's recurrence of outer products: one decay a head and step, each input written at two steps.

    S_t = a_t (S_{t-1} + (1 - l_t) d_t k_{t-1} v_{t-1}^T) + l_t d_t k_t v_t^T,   o_t = S_t^T q_t

The trapezoidal rule of arXiv 2603.15569 with q = C, k = B, v = x, step size d = Delta, a = exp(Delta A) and l = lambda.
With l = 1 it is Mamba-2's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .scalar_decay import CHUNK, scalar_decay_chunked, scalar_decay_cpp
from .shapes import Keys, Scalars, Values


def trapezoidal_reference(
    queries: Keys, keys: Keys, values: Values, log_decay: Scalars, step_size: Scalars, trapezoid: Scalars
) -> Values:
    """The recurrence, step by step; `log_decay` is the logarithm of a_t, `trapezoid` is l_t."""
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
    queries: Keys,
    keys: Keys,
    values: Values,
    log_decay: Scalars,
    step_size: Scalars,
    trapezoid: Scalars,
    chunk: int = CHUNK,
) -> Values:
    """The same as one scan in chunks of `chunk` steps."""
    scan = functools.partial(scalar_decay_chunked, chunk=chunk)
    return _by_scan(scan, queries, keys, values, log_decay, step_size, trapezoid)


def trapezoidal_cpp(
    queries: Keys, keys: Keys, values: Values, log_decay: Scalars, step_size: Scalars, trapezoid: Scalars
) -> Values:
    """The same as one `matrix_scan`."""
    return _by_scan(scalar_decay_cpp, queries, keys, values, log_decay, step_size, trapezoid)


def _by_scan(
    scan: Callable[..., Tensor],
    queries: Keys,
    keys: Keys,
    values: Values,
    log_decay: Scalars,
    step_size: Scalars,
    trapezoid: Scalars,
) -> Values:
    """One scan of the steps before, and what a step reads of its own input.

    Beyond its own step an input weighs l_s d_s + (1 - l_{s+1}) d_{s+1}, decayed from step s on. The scan is given each
    input one step late, when that weight is known: nothing of the future is added and taken away again.
    """
    own = trapezoid * step_size
    weight = log_decay.exp() * (_one_late(own) + (1 - trapezoid) * step_size)
    before = weight[..., None] * _one_late(values, 2)
    mixed = scan(queries, _one_late(keys, 2), before, log_decay)
    return mixed + (own * (queries * keys).sum(-1))[..., None] * values


def _one_late(tensor: Tensor, dimension: int = -1) -> Tensor:
    """Each step holds what stood at the step before, the first zeros."""
    after = tensor.dim() - 1 - dimension % tensor.dim()
    return F.pad(tensor, (0, 0) * after + (1, -1))
