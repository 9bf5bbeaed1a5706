"""A recurrence of outer products that decays by one number a head and step: Mamba-2's and RetNet's.

    S_t = a_t S_{t-1} + k_t v_t^T,   o_t = S_t^T q_t

State space duality (arXiv 2405.21060, Eq. 2 and section 6) with q = C, k = B and v = Delta x; retention (arXiv
2307.08621, Eqs. 6 and 7) where all a_t of a head are one gamma. Queries and keys may be the same for all heads.
a_t is exp(log_decay_t), or signed 2 exp(log_decay_t) - 1, in [-1, 1] (Grazzi et al., arXiv 2411.12537, for Mamba).
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from .chunks import decayed_before, in_chunks, joined, kept_between, log2_kept, signed_products
from .scalar_scan import scalar_scan
from .shapes import Values

CHUNK = 32


def scalar_decay_reference(
    queries: Float[Tensor, "batch groups length state"],
    keys: Float[Tensor, "batch groups length state"],
    values: Values,
    log_decay: Float[Tensor, "#batch heads length"],
    *,
    signed: bool = False,
) -> Values:
    """The recurrence, step by step; groups are the heads or one."""
    kept = log_decay.exp().to(values.dtype)
    kept = 2 * kept - 1 if signed else kept
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    outputs = []
    steps = (queries.unbind(2), keys.unbind(2), values.unbind(2), kept.unbind(2))
    for q, k, v, decay in zip(*steps, strict=True):
        state = decay[..., None, None] * state + k[..., :, None] * v[..., None, :]
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def scalar_decay_chunked(
    queries: Float[Tensor, "batch groups length state"],
    keys: Float[Tensor, "batch groups length state"],
    values: Values,
    log_decay: Float[Tensor, "#batch heads length"],
    chunk: int = CHUNK,
    *,
    signed: bool = False,
) -> Values:
    """The same: all scores within chunks of `chunk` steps, and a state handed from chunk to chunk."""
    length, dtype = values.shape[2], values.dtype
    queries, keys, values = (in_chunks(tensor, chunk) for tensor in (queries, keys, values))
    # The state that is handed on adds up over all chunks: in bfloat16 it would lose what is small.
    exact = torch.promote_types(dtype, torch.float32)
    if signed:
        between, since_start = signed_products(in_chunks(2 * log_decay.to(exact).exp()[..., None] - 1, chunk, 1.0))
        to_the_end = between[..., -1:, :].mT
    else:
        total = log2_kept(log_decay[..., None], chunk)
        between, since_start = kept_between(total, dtype), torch.exp2(total.to(exact))
        to_the_end = torch.exp2((total[..., -1:, :] - total).to(dtype))
    within = (between.to(dtype) * (queries @ keys.mT)) @ values
    written = _product(keys.mT, values * to_the_end.to(dtype)).to(exact)
    across = since_start.to(dtype) * _product(queries, decayed_before(since_start[..., -1:, :], written).to(dtype))
    return joined(within + across, length)


def scalar_decay_cpp(
    queries: Float[Tensor, "batch groups length state"],
    keys: Float[Tensor, "batch groups length state"],
    values: Values,
    log_decay: Float[Tensor, "#batch heads length"],
    *,
    signed: bool = False,
) -> Values:
    """The same by `scalar_scan`."""
    return scalar_scan(queries, keys, values, log_decay, signed=signed)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right`; where all heads share the left factor, their right factors stand side by side in one product."""
    if left.shape[1] == right.shape[1]:
        return left @ right
    together = left @ rearrange(right, "batch heads chunks rows columns -> batch 1 chunks rows (heads columns)")
    pattern = "batch 1 chunks rows (heads columns) -> batch heads chunks rows columns"
    return rearrange(together, pattern, heads=right.shape[1])
