"""Causal linear attention without and with gates, each as its recurrence and in chunks; the two agree.

    linear (arXiv 2006.16236, Eqs. 9-12):  o_t = (phi(q_t) S_t) / (phi(q_t) z_t),  S_t = sum_{s<=t} phi(k_s)^T v_s,
                                           z_t = sum_{s<=t} phi(k_s),  phi(x) = elu(x) + 1 (Eq. 7)
    gated (arXiv 2312.06635, Eq. 3):       o_t = q_t S_t,  S_t = Diag(alpha_t) S_{t-1} + k_t^T v_t

The numerics of the gated chunks: a product of gates is the exponential of a sum of their logarithms, and no exponent
is ever positive, so nothing overflows however shut the gates are. The paper's parallel form divides by the product of
gates since the start (Eq. 4); here the later half of a block reads its earlier half through what the gates keep from
the key to the boundary, times what they keep from the boundary to the query. The sums are float64 whatever the inputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import decayed_before, in_chunks, joined, log2_kept
from .matrix_scan import matrix_scan
from .scalar_scan import scalar_scan
from .shapes import Keys, Values

LINEAR_CHUNK, GATED_CHUNK = 32, 16
# Added to what linear attention divides by, as the authors' code does: features underflow far below zero.
EPSILON = 1e-6


def feature_map(x: Tensor) -> Tensor:
    """phi, positive everywhere (arXiv 2006.16236, Eq. 7)."""
    return F.elu(x) + 1


def linear_reference(queries: Keys, keys: Keys, values: Values) -> Values:
    """Linear attention as the recurrent network of arXiv 2006.16236, Eqs. 16-20, step by step."""
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    normalizer = values.new_zeros(*values.shape[:2], keys.shape[3])
    outputs = []
    for q, k, v in zip(queries.unbind(2), keys.unbind(2), values.unbind(2), strict=True):
        q, k = feature_map(q), feature_map(k)
        state = state + k[..., :, None] * v[..., None, :]
        normalizer = normalizer + k
        read = (q[..., :, None] * state).sum(-2)
        outputs.append(read / ((q * normalizer).sum(-1, keepdim=True) + EPSILON))
    return torch.stack(outputs, dim=2)


def linear_chunked(queries: Keys, keys: Keys, values: Values, chunk: int = LINEAR_CHUNK) -> Values:
    """The same: all scores within chunks of `chunk` steps, and the sums over all chunks before."""
    length = values.shape[2]
    values = F.pad(values, (0, 1), value=1.0)  # a channel of ones: its sums are the normalizer's
    queries, keys, values = (in_chunks(tensor, chunk) for tensor in (feature_map(queries), feature_map(keys), values))
    within = (queries @ keys.transpose(-1, -2)).tril() @ values
    written = keys.transpose(-1, -2) @ values
    before = F.pad(written[:, :, :-1].cumsum(2), (0, 0, 0, 0, 1, 0))
    sums = joined(within + queries @ before, length)
    return sums[..., :-1] / (sums[..., -1:] + EPSILON)


def linear_cpp(queries: Keys, keys: Keys, values: Values) -> Values:
    """The same by `scalar_scan`, whose decays are 1."""
    queries, keys = feature_map(queries), feature_map(keys)
    normalizer = (queries * keys.cumsum(2)).sum(-1, keepdim=True) + EPSILON
    return scalar_scan(queries, keys, values, values.new_zeros(1, *values.shape[1:3])) / normalizer


def gated_linear_reference(queries: Keys, keys: Keys, values: Values, alpha: Keys) -> Values:
    """Gated linear attention as the recurrence of arXiv 2312.06635, Eq. 3, step by step."""
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    outputs = []
    for q, k, v, gate in zip(queries.unbind(2), keys.unbind(2), values.unbind(2), alpha.unbind(2), strict=True):
        state = gate[..., :, None] * state + k[..., :, None] * v[..., None, :]
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def gated_linear_chunked(
    queries: Keys, keys: Keys, values: Values, log_alpha: Keys, chunk: int = GATED_CHUNK
) -> Values:
    """The same from the logarithms of the gates: halves within chunks, and a state handed from chunk to chunk.

    chunk: steps a chunk, a power of two.
    """
    length, dtype = values.shape[2], values.dtype
    queries, keys, values = (in_chunks(tensor, chunk) for tensor in (queries, keys, values))
    total = log2_kept(log_alpha, chunk)
    to_the_end = torch.exp2((total[..., -1:, :] - total).to(dtype))
    written = (keys * to_the_end).transpose(-1, -2) @ values
    # The state that is handed on adds up over all chunks: in bfloat16 it would lose what is small.
    written = written.to(torch.promote_types(dtype, torch.float32))
    kept = torch.exp2(total[..., -1, :].to(written.dtype))[..., None]
    across = (queries * torch.exp2(total.to(dtype))) @ decayed_before(kept, written).to(dtype)
    return joined(_within_chunks(queries, keys, values, total) + across, length)


def gated_linear_cpp(queries: Keys, keys: Keys, values: Values, log_alpha: Keys) -> Values:
    """The same by `matrix_scan`."""
    return matrix_scan(queries, keys, values, log_alpha)


def _within_chunks(queries: Tensor, keys: Tensor, values: Tensor, total: Tensor) -> Tensor:
    """What steps read of their own chunk, [..., chunk, channels]: of themselves, then across ever larger halves."""
    chunk, dtype = values.shape[-2], values.dtype
    mixed = (queries * keys).sum(-1, keepdim=True) * values
    half = 1
    while half < chunk:
        _, late_queries = _halves(queries, half)
        early_keys, _ = _halves(keys, half)
        early_values, _ = _halves(values, half)
        early_total, late_total = _halves(total, half)
        boundary = early_total[..., -1:, :]
        reads = late_queries * torch.exp2((late_total - boundary).to(dtype))
        writes = early_keys * torch.exp2((boundary - early_total).to(dtype))
        crossing = (reads @ writes.transpose(-1, -2)) @ early_values
        mixed = mixed + torch.stack([torch.zeros_like(crossing), crossing], dim=-3).flatten(-4, -2)
        half *= 2
    return mixed


def _halves(tensor: Tensor, half: int) -> tuple[Tensor, ...]:
    """The earlier and the later half of every block of 2 `half` steps, [..., blocks, half, channels] each."""
    return tensor.unflatten(-2, (-1, 2, half)).unbind(-3)
