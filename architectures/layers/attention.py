"""Multi-head softmax attention over all steps or within a window (arXiv 1706.03762, section 3.2)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend

from harness.contracts.errors import UserError
from harness.contracts.mixer import Coords, Mask, Mixer, Steps
from harness.contracts.seeds import seeded_torch

from ..ops.local_attention import banded_attention, block_size, blocked_attention, flex_window_attention, window_path
from ..ops.names import torch_kernel
from .linear_attention import join_heads, split_heads
from .padding import without_padding
from .positions import AddedPositions, Positions, rotate

WINDOW_PATHS = {
    "banded": "banded scaled dot product",
    "blocked": "blocked attention {block}",
    "flex": "flex attention, compiled",
}


class _Attention(Mixer):
    """Projections, heads and positions; subclasses say which steps a step sees, and how fast.

    There is no recurrent state: what a causal step needs of the past grows with it, or with the window.
    """

    def __init__(
        self, width: int, length: int, generator: torch.Generator, heads: int, causal: bool, positions: Positions
    ):
        super().__init__()
        if width % heads:
            raise UserError(f"attention: heads must divide the width {width}, got heads={heads}")
        if positions == "rotary" and width // heads % 2:
            raise UserError(
                f"attention: positions=rotary needs an even number of channels a head, got width {width} with"
                f" heads={heads}; change heads or width"
            )
        self.heads = heads
        self.causal = causal
        self.rotary = positions == "rotary"
        self.path = "not run"
        with seeded_torch(generator):
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
        self.positions = AddedPositions(positions, width, length, generator)

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
        """Fast attention, [batch, heads, length, channels] each; `mask` [batch, length] as in forward."""

    @abstractmethod
    def sees(self, offset: Int[Tensor, "length length"]) -> Bool[Tensor, "length length"]:
        """Whether a step sees the one `offset` steps after it (before it, where negative)."""

    def forward(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        mixed = self.attend(*self._project(x, mask, coords), mask)
        return self.out(join_heads(mixed))

    def reference(self, x: Steps, mask: Mask = None, coords: Coords = None) -> Steps:
        q, k, v = self._project(x, mask, coords)
        step = torch.arange(x.shape[1], device=x.device)
        seen = self.sees(step[None, :] - step[:, None])[None, None]
        if mask is not None:
            # Padded steps see themselves, so that their softmax, which nobody reads, is not empty.
            seen = seen & mask[:, None, None, :] | torch.eye(len(step), dtype=torch.bool, device=x.device)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        return self.out(join_heads(weights @ v))

    def _project(self, x: Tensor, mask: Mask, coords: Coords) -> tuple[Tensor, Tensor, Tensor]:
        x = self.positions(without_padding(x, mask), coords)
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return (rotate(q), rotate(k), v) if self.rotary else (q, k, v)

    @property
    def kernel(self) -> str:
        return torch_kernel(self.path)


class GlobalAttention(_Attention):
    """Every step sees every real step, or with `causal` itself and every earlier one."""

    def __init__(self, *sizes: Any, causal: bool, positions: Positions, **more: Any):
        super().__init__(*sizes, causal=causal, positions=positions, **more)
        self.permutation_equivariant = positions == "none" and not causal

    def sees(self, offset: Int[Tensor, "length length"]) -> Bool[Tensor, "length length"]:
        return offset <= 0 if self.causal else torch.ones_like(offset, dtype=torch.bool)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
        seen = None
        if mask is not None and not self.causal:
            # Rows without a real step see all their (zeroed) padding: an empty softmax would be NaN. A causal step
            # needs no mask, since padding stands to its right.
            seen = (mask | ~mask.any(1, keepdim=True))[:, None, None, :]
        self.path = _sdpa_path(q, k, v, seen, self.causal)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=self.causal)


class LocalAttention(_Attention):
    """Every step sees the real steps at most `window` away, or with `causal` those of them that are not later."""

    def __init__(self, *sizes: Any, window: int, **more: Any):
        super().__init__(*sizes, **more)
        self.window = window

    def sees(self, offset: Int[Tensor, "length length"]) -> Bool[Tensor, "length length"]:
        near = offset.abs() <= self.window
        return near & (offset <= 0) if self.causal else near

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
        path = window_path(q.shape[2], self.window, q.device.type, q.dtype)
        self.path = WINDOW_PATHS[path].format(block=block_size(self.window))
        attend = {"banded": banded_attention, "blocked": blocked_attention, "flex": flex_window_attention}[path]
        return attend(q, k, v, self.window, self.causal, mask)


def _sdpa_path(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, causal: bool) -> str:
    """Which of its kernels torch takes for these tensors; torch has no public way to ask."""
    choose = getattr(torch, "_fused_sdp_choice", None)
    if choose is None:
        return "scaled dot product"
    try:
        backend = choose(q, k, v, seen, 0.0, causal)
    except RuntimeError:  # within torch.func.vmap it cannot be asked
        return "scaled dot product"
    return f"scaled dot product {SDPBackend(backend).name.lower().removesuffix('_attention')}"
