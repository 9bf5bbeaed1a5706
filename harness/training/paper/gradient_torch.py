"""The gradient of gradient.py in torch operations: any device and dtype, and many trials at once.

The quadratic form: all length x length weights of as many sequences as fit a stated number of bytes. Gradients are
written out rather than left to autograd, whose graph would hold every temporary of the whole data set.

A trial is a set of parameters (and of data, where tokens have a leading trials dimension). Trials that train together
give what each gives alone up to rounding, for matrix products of other shapes add in another order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOG2_E = 1 / math.log(2)
LEAST_LOG2 = -1000.0
"""A factor below 2^-1000 makes any product with it zero in float32; kept from there, whole parts stay exact."""
CHUNK_BYTES = {"cpu": 8 * 2**20, "cuda": 2 * 2**30}
"""Temporaries at a time: what a CPU's cache holds, what a GPU has to spare."""


@dataclass(frozen=True, kw_only=True)
class ReplicaGradients:
    """losses: [R]. margins: [R, N]. gate: dloss/dw_D [R, d]. hidden: dloss/dW_O [R, m, d]."""

    losses: Tensor
    margins: Tensor
    gate: Tensor
    hidden: Tensor


def mixed(tokens: Tensor, scores: Tensor | None, w_D: Tensor) -> Tensor:
    """The y [..., L, d] of Eqs. 2-5 from tokens [..., L, d], scores [..., L, L] (None: x_s . x_t), w_D [..., d]."""
    return _weights(tokens, scores, _gate_input(tokens, w_D)) @ tokens


def hinge_outputs(
    tokens: Tensor, w_D: Tensor, W_O: Tensor, v: Tensor, *, scores: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """F(X) [N] of Eq. 6, with a graph where parameters want one. y: what `mixed` gave, where gates do not change."""
    y = mixed(tokens, scores, w_D) if y is None else y
    return ((y @ W_O.T).relu() @ v).mean(-1)


def hinge_gradient_replicas(
    tokens: Tensor,
    labels: Tensor,
    w_D: Tensor,
    W_O: Tensor,
    v: Tensor,
    *,
    scores: Tensor | None = None,
    y: Tensor | None = None,
    chunk_bytes: int | None = None,
) -> ReplicaGradients:
    """Loss and gradients of R trials at once.

    w_D: [R, d]. W_O: [R, m, d]. v: [R, m]. The data are shared, or each trial has its own:
    tokens [N, L, d] or [R, N, L, d], labels (+1 or -1) [N] or [R, N], scores S (None: x_s . x_t) [N, L, L] or
    [R, N, L, L]. y: what `mixed` gave [N, L, d] or [R, N, L, d], where gates do not change; their gradient is then 0.
    chunk_bytes: temporaries at a time, by default CHUNK_BYTES of the device.
    """
    # One trials dimension everywhere, of size 1 where trials share.
    tokens = tokens if tokens.ndim == 4 else tokens[None]
    y = y if y is None or y.ndim == 4 else y[None]
    labels = labels if labels.ndim == 2 else labels[None]
    scores = scores if scores is None or scores.ndim == 4 else scores[None]
    replicas, neurons, width = W_O.shape
    samples, length = tokens.shape[1:3]
    a_sample = tokens.element_size() * replicas * length * (4 * length * (y is None) + 3 * neurons + 4 * width)
    size = max(1, (chunk_bytes or CHUNK_BYTES.get(tokens.device.type, 2**30)) // a_sample)

    margins = tokens.new_empty(replicas, samples)
    gate, hidden = (torch.zeros_like(like, dtype=torch.float64) for like in (w_D, W_O))
    for part in (slice(start, start + size) for start in range(0, samples, size)):
        x, z = tokens[:, part], labels[:, part].to(tokens)
        if y is None:
            u = _gate_input(x, w_D[:, None])
            weights = _weights(x, None if scores is None else scores[:, part], u)
            mixture = (weights @ x).flatten(1, 2)
        else:
            u, weights, mixture = None, None, y[:, part].flatten(1, 2)
        h = (mixture @ W_O.mT).relu_()
        output = (h @ v[..., None]).view(replicas, -1, length).mean(-1)
        margins[:, part] = margin = z * output
        # -z 1[h > 0] where the hinge is active; the rest of dloss/dh, v / (N L), comes in last.
        slope = torch.where(margin < 1, -z, 0.0)
        sign = h.gt_(0).mul_(slope.repeat_interleave(length, dim=1)[..., None])
        hidden += sign.mT @ mixture
        if u is not None and weights is not None:
            grad_y = (sign @ (v[..., None] * W_O)).view(replicas, -1, length, width)
            grad_u = _gate_gradient((grad_y @ x.mT).mul_(weights), u).to(x.dtype)
            gate += (grad_u.flatten(1)[:, None] @ x.flatten(1, 2))[:, 0]
    scale = 1 / (samples * length)
    return ReplicaGradients(
        losses=(1 - margins.double()).clamp(min=0).mean(-1),
        margins=margins,
        gate=(gate * scale).to(w_D.dtype),
        hidden=(hidden * scale * v[..., None]).to(W_O.dtype),
    )


def _gate_input(tokens: Tensor, w_D: Tensor) -> Tensor:
    """The gates' u [..., L], float64."""
    return (tokens.double() @ w_D[..., None].double())[..., 0]


def _weights(tokens: Tensor, scores: Tensor | None, u: Tensor) -> Tensor:
    """P_ts = prod_{s<j<=t} (1 - sigmoid(u_j)) sigmoid(u_s) S_ts [..., L, L], zero where s > t.

    The sums of logarithms are float64; a whole part and a rest of each, subtracted on their own, keep that accuracy in
    float32 differences.
    """
    gate, decay = ((F.logsigmoid(sign * u) * LOG2_E).clamp(min=LEAST_LOG2) for sign in (1, -1))
    total = decay.cumsum(-1)
    whole_t, rest_t = _split(total, tokens.dtype)
    whole_s, rest_s = _split(total - gate, tokens.dtype)
    exponent = (whole_t[..., :, None] - whole_s[..., None, :]) + (rest_t[..., :, None] - rest_s[..., None, :])
    future = torch.ones(exponent.shape[-2:], dtype=torch.bool, device=exponent.device).triu(1)
    # exp2 rather than exp: torch.exp on a CPU is 10 to 25 times slower once results underflow.
    weights = exponent.masked_fill_(future, -math.inf).exp2_()
    return weights * (tokens @ tokens.mT if scores is None else scores)


def _split(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    whole = x.detach().round()
    return whole.to(dtype), (x - whole).to(dtype)


def _gate_gradient(E: Tensor, u: Tensor) -> Tensor:
    """dloss/du [..., L] from E_ts = P_ts dloss/dP_ts [..., L, L].

    sum_{t>=s} E_ts goes to log sigmoid(u_s) and the rectangle sum_{s<j<=t} E_ts to log(1 - sigmoid(u_j)). Rectangles
    are summed as they are: as differences of larger sums, a saturated gate would get a gradient made of rounding.
    """
    ones = E.new_ones(E.shape[-2:])
    rectangles = (E @ ones.triu(1)).mul_(ones.tril()).sum(-2)
    return E.sum(-2) * torch.sigmoid(-u) - rectangles * torch.sigmoid(u)
