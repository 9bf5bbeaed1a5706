"""The gated delta rule (arXiv 2412.06464, Eq. 10), as its recurrence and in chunks; the two agree.

    S_t = S_{t-1} (alpha_t (I - beta_t k_t k_t^T)) + beta_t v_t k_t^T,   o_t = S_t q_t

Here a state is kept transposed, [state, channels]. A step first decays the state, then replaces part of what the state
holds for k_t: it adds k_t u_t^T, u_t = beta_t (v_t - alpha_t S_{t-1} k_t). In a chunk that starts at state S, with
g_t the product of its alphas up to step t, these u solve a triangular system (the WY form of section 3.3):

    u_t + beta_t sum_{s<t} (g_t / g_s) (k_t . k_s) u_s = beta_t (v_t - g_t S k_t)

Only ratios with s <= t occur, never above 1, so gates may shut as far as they like.
"""

from __future__ import annotations

import torch

from .chunks import in_chunks, joined, kept_between, log2_kept, states_before
from .matrix_scan import matrix_scan
from .shapes import Keys, Scalars, Values

CHUNK = 32


def gated_delta_reference(queries: Keys, keys: Keys, values: Values, log_alpha: Scalars, beta: Scalars) -> Values:
    """The recurrence, step by step, as Eq. 10 prints it."""
    alpha = log_alpha.exp().to(values.dtype)
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    outputs = []
    steps = (tensor.unbind(2) for tensor in (queries, keys, values, alpha, beta))
    for q, k, v, decay, rate in zip(*steps, strict=True):
        held = (k[..., :, None] * state).sum(-2)
        erased = state - rate[..., None, None] * k[..., :, None] * held[..., None, :]
        state = decay[..., None, None] * erased + rate[..., None, None] * k[..., :, None] * v[..., None, :]
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def gated_delta_chunked(
    queries: Keys, keys: Keys, values: Values, log_alpha: Scalars, beta: Scalars, chunk: int = CHUNK
) -> Values:
    """The same: a triangular system a chunk of `chunk` steps, and a state handed from chunk to chunk."""
    length, channels = values.shape[2:]
    # Solving needs float32 at least.
    dtype = torch.promote_types(values.dtype, torch.float32)
    queries, keys, values, beta = (
        in_chunks(tensor.to(dtype), chunk) for tensor in (queries, keys, values, beta[..., None])
    )
    total = log2_kept(log_alpha[..., None], chunk)
    kept, since_start = kept_between(total, dtype), torch.exp2(total.to(dtype))

    # u = fresh - recalled S for whatever state S the chunk starts at
    overlap = (beta * kept * (keys @ keys.mT)).tril(-1)
    right = torch.cat([beta * values, beta * since_start * keys], dim=-1)
    solved = torch.linalg.solve_triangular(overlap, right, upper=False, unitriangular=True)
    fresh, recalled = solved.split([channels, keys.shape[-1]], dim=-1)

    to_the_end = keys * torch.exp2((total[..., -1:, :] - total).to(dtype))
    identity = torch.eye(keys.shape[-1], dtype=dtype, device=keys.device)
    transition = since_start[..., -1:, :] * identity - (to_the_end.mT @ recalled).to(dtype)
    before = states_before(transition, (to_the_end.mT @ fresh).to(dtype))
    u = fresh - recalled @ before
    return joined((kept * (queries @ keys.mT)) @ u + (since_start * queries) @ before, length)


def gated_delta_cpp(queries: Keys, keys: Keys, values: Values, log_alpha: Scalars, beta: Scalars) -> Values:
    """The same by `matrix_scan`: alpha_t of what is held under k_t goes, times beta_t."""
    written = beta.to(keys.dtype)[..., None] * keys
    removed = -log_alpha.exp().to(keys.dtype)[..., None] * written
    return matrix_scan(queries, written, values, log_alpha[..., None], keys, removed)


def delta_reference(queries: Keys, keys: Keys, values: Values, beta: Scalars) -> Values:
    """The delta rule without a decay (arXiv 2406.06484, section 2.2), step by step as it is printed.

    S_t = S_{t-1} - beta_t (S_{t-1} k_t - v_t) k_t^T.
    """
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    outputs = []
    for q, k, v, rate in zip(*(tensor.unbind(2) for tensor in (queries, keys, values, beta)), strict=True):
        error = (k[..., :, None] * state).sum(-2) - v
        state = state - rate[..., None, None] * k[..., :, None] * error[..., None, :]
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def delta_chunked(queries: Keys, keys: Keys, values: Values, beta: Scalars, chunk: int = CHUNK) -> Values:
    """The same in chunks: the gated rule whose gates never shut."""
    return gated_delta_chunked(queries, keys, values, torch.zeros_like(beta), beta, chunk)


def delta_cpp(queries: Keys, keys: Keys, values: Values, beta: Scalars) -> Values:
    """The same by `matrix_scan`."""
    written = beta.to(keys.dtype)[..., None] * keys
    return matrix_scan(queries, written, values, torch.zeros_like(beta)[..., None], keys, -written)
