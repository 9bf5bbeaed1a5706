"""What the recurrences that run in chunks share: cutting, decays between steps, states handed from chunk to chunk.

The numerics: a product of decays is the exponential of a difference of cumulative sums, in float64 whatever the inputs
are; no exponent is positive, and the future is masked before the exponential. exp2 rather than exp, which on a CPU is
10 to 25 times slower once results underflow.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LOG2_E = 1 / math.log(2)


def in_chunks(
    tensor: Float[Tensor, "batch heads length channels"], chunk: int, fill: float = 0.0
) -> Float[Tensor, "batch heads chunks steps channels"]:
    """`chunk` steps each, the last chunk filled up, mostly with zeros: nothing written, of logarithms all kept."""
    return F.pad(tensor, (0, 0, 0, -tensor.shape[2] % chunk), value=fill).unflatten(2, (-1, chunk))


def joined(
    tensor: Float[Tensor, "batch heads chunks steps channels"], length: int
) -> Float[Tensor, "batch heads length channels"]:
    """The inverse of `in_chunks`."""
    return tensor.flatten(2, 3)[:, :, :length]


def log2_kept(
    log_decay: Float[Tensor, "batch heads length channels"], chunk: int
) -> Float[Tensor, "batch heads chunks steps channels"]:
    """log2 of what is kept from before a chunk to the end of each of its steps, float64."""
    return in_chunks(log_decay.double() * LOG2_E, chunk).cumsum(-2)


def kept_between(total: Float[Tensor, "*chunks steps 1"], dtype: torch.dtype) -> Float[Tensor, "*chunks steps steps"]:
    """What is kept of step s at step t, exp2(total_t - total_s) at [t, s]; 0 where s > t."""
    exponent = (total - total.mT).to(dtype)
    future = torch.ones(exponent.shape[-2:], dtype=torch.bool, device=exponent.device).triu(1)
    return exponent.masked_fill(future, -math.inf).exp2()


def signed_products(
    decay: Float[Tensor, "*chunks steps 1"],
) -> tuple[Float[Tensor, "*chunks steps steps"], Float[Tensor, "*chunks steps 1"]]:
    """Products of decays that may be negative or zero, of which there are no logarithms.

    At [t, s] of the first those of the steps from s + 1 to t, 0 where s > t; in the second those from the chunk's start
    to t. Step by step, so that the gradient divides by nothing.
    """
    ones = torch.eye(decay.shape[-2] + 1, dtype=decay.dtype, device=decay.device)
    rows = [ones[0]]
    for kept, one in zip(decay.unbind(-2), ones[1:], strict=True):
        rows.append(rows[-1] * kept + one)
    since_start, between = torch.stack(rows[1:], dim=-2).split([1, decay.shape[-2]], dim=-1)
    return between, since_start


def decayed_before(kept: Tensor, written: Tensor, dim: int = 2) -> Tensor:
    """The state at the start of each chunk, where a chunk turns a state S into kept * S + written; `dim`: of chunks."""
    before = [torch.zeros_like(written.select(dim, 0))]
    for keep, write in zip(kept.unbind(dim)[:-1], written.unbind(dim)[:-1], strict=True):
        before.append(keep * before[-1] + write)
    return torch.stack(before, dim=dim)


def states_before(
    transition: Float[Tensor, "batch heads chunks state state"],
    written: Float[Tensor, "batch heads chunks state channels"],
) -> Float[Tensor, "batch heads chunks state channels"]:
    """The state at the start of each chunk, where a chunk turns a state S into transition S + written."""
    before = [torch.zeros_like(written[:, :, 0])]
    with torch.autocast(written.device.type, enabled=False):  # what is handed on through all chunks keeps its digits
        for turn, write in zip(transition.unbind(2)[:-1], written.unbind(2)[:-1], strict=True):
            before.append(turn @ before[-1] + write)
    return torch.stack(before, dim=2)
