"""RWKV-7's recurrence (arXiv 2503.14456, section 4.1), step by step and in chunks; the two agree.

    S_t = S_{t-1} (diag(w_t) - khat_t^T (a_t * khat_t)) + v_t^T k_t,   o_t = r_t S_t^T

The paper's vectors are rows. Here a state is kept transposed, [state, channels], and the rank-one part is any x^T y:

    T_t = diag(w_t) T_{t-1} + added_t (removed_t . T_{t-1}) + k_t v_t^T,   o_t = r_t T_t

with removed = khat and added = -a * khat. In a chunk the products removed_t . T_{t-1} solve a triangular system, as in
the gated delta rule. The paper's decays are above exp(-exp(-1/2)) = 0.545: so ratios of their products, taken from the
middle of a chunk of 16 steps, stay below 130, and the system's entries are plain products of scaled vectors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .chunks import LOG2_E, in_chunks, joined, log2_kept, states_before
from .matrix_scan import matrix_scan
from .shapes import Keys, Values

CHUNK = 16
LOWEST_LOG_DECAY = -math.exp(-0.5)


def wkv7_reference(queries: Keys, keys: Keys, values: Values, log_decay: Keys, removed: Keys, added: Keys) -> Values:
    """The recurrence, step by step; queries are the paper's r, `log_decay` the logarithm of w."""
    state = values.new_zeros(*values.shape[:2], keys.shape[3], values.shape[3])
    outputs = []
    tensors = (queries, keys, values, log_decay.exp().to(values.dtype), removed, added)
    for q, k, v, decay, remove, add in zip(*(tensor.unbind(2) for tensor in tensors), strict=True):
        held = (remove[..., :, None] * state).sum(-2)
        state = decay[..., :, None] * state + add[..., :, None] * held[..., None, :] + k[..., :, None] * v[..., None, :]
        outputs.append((q[..., :, None] * state).sum(-2))
    return torch.stack(outputs, dim=2)


def wkv7_chunked(queries: Keys, keys: Keys, values: Values, log_decay: Keys, removed: Keys, added: Keys) -> Values:
    """The same in chunks of 16 steps. No `log_decay` may be below LOWEST_LOG_DECAY."""
    length, channels = values.shape[2:]
    dtype = torch.promote_types(values.dtype, torch.float32)
    queries, keys, values, removed, added = (
        in_chunks(tensor.to(dtype), CHUNK) for tensor in (queries, keys, values, removed, added)
    )
    total = log2_kept(log_decay, CHUNK)
    until = total - in_chunks(log_decay.double() * LOG2_E, CHUNK)  # up to the step before
    middle, end = total[..., CHUNK // 2 - 1 : CHUNK // 2, :], total[..., -1:, :]

    def kept(exponent: Tensor) -> Tensor:
        return torch.exp2(exponent.to(dtype))

    wrote, put = keys * kept(middle - total), added * kept(middle - total)
    looking, asked = removed * kept(until - middle), queries * kept(total - middle)

    # removed_t . T_{t-1} = fresh + recalled T for whatever state T the chunk starts at
    right = torch.cat([(looking @ wrote.mT).tril(-1) @ values, removed * kept(until)], dim=-1).to(dtype)
    overlap = -(looking @ put.mT).tril(-1).to(dtype)
    solved = torch.linalg.solve_triangular(overlap, right, upper=False, unitriangular=True)
    fresh, recalled = solved.split([channels, keys.shape[-1]], dim=-1)

    put_to_the_end = added * kept(end - total)
    transition = torch.diag_embed(kept(end)[..., 0, :]) + (put_to_the_end.mT @ recalled).to(dtype)
    written = put_to_the_end.mT @ fresh + (keys * kept(end - total)).mT @ values
    before = states_before(transition, written.to(dtype))
    held = fresh + recalled @ before
    within = (asked @ put.mT).tril() @ held + (asked @ wrote.mT).tril() @ values
    return joined(within + (queries * kept(total)) @ before, length)


def wkv7_cpp(queries: Keys, keys: Keys, values: Values, log_decay: Keys, removed: Keys, added: Keys) -> Values:
    """The same by `matrix_scan`."""
    return matrix_scan(queries, keys, values, log_decay, removed, added)
