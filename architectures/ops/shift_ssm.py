"""A state space model that shifts: its state is what came in, times B, one place further at every step (H3).

x_t = A x_{t-1} + B u_t,  A e_i = e_{i+1},  y_t = C x_t        (arXiv 2212.14052, section 3.1)
y = K * u,   K_l = C A^l B = sum_m C_{m+l} B_m,  0 from l = N on
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from harness.contracts.mixer import Steps

States: TypeAlias = Float[Tensor, "width state"]


def shift_reference(u: Steps, written: States, read: States) -> Steps:
    """The recurrence, step by step; `written` is B, `read` C."""
    state = u.new_zeros(len(u), *written.shape)
    outputs = []
    for token in u.unbind(1):
        state = F.pad(state, (1, -1)) + written * token[:, :, None]
        outputs.append((read * state).sum(-1))
    return torch.stack(outputs, dim=1)


def shift_kernel(written: States, read: States, length: int) -> Float[Tensor, "taps width"]:
    """K_0 and what follows, as many as there are states or steps."""
    states = written.shape[1]
    transforms = [
        torch.fft.rfft(part.to(torch.promote_types(part.dtype, torch.float32)), n=2 * states)
        for part in (written, read)
    ]
    return torch.fft.irfft(transforms[0].conj() * transforms[1], n=2 * states)[:, : min(states, length)].mT
