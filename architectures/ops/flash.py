"""flash-linear-attention's Triton kernels for six recurrences, with the arguments of the plain chunked forms.

Source: the package `fla` (PyPI: flash-linear-attention), 0.6 and newer. What differs is its layout ([batch, length,
heads, channels]), its scale of queries, which is left off, and its block: heads of fewer than 16 channels its matrix
products do not take, and in 16 bits odd ones are compiled wrongly, so heads are filled up with channels of zeros.

Checked without a GPU, in float32, by Triton's interpreter (tests/architectures/test_flash.py): outputs and gradients of
all are those of the `*_reference` functions, but for the plain delta rule, which takes no float32 and was not checked.
Not run on a GPU: what the compiler makes of the kernels, 16-bit formats, speed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch._C._functorch import is_batchedtensor

from .linear_attention import EPSILON, feature_map
from .shapes import Keys, Scalars, Values
from .wkv7 import LOWEST_LOG_DECAY

DEVICE = "cuda"
"""Where alone these kernels run: what changes here makes no CPU record stale."""

BLOCK = 16
WIDEST_KEYS = 256  # wider heads the delta rules' kernels refuse


@functools.cache
def flash_version() -> str | None:
    """The version of flash-linear-attention; None where there is no CUDA, it does not import or is older than 0.6."""
    if not torch.cuda.is_available():
        return None
    try:
        version = importlib.metadata.version("fla-core")  # the part of the package that holds the kernels
        for op in FLASH:
            op.function()
    except Exception:  # a missing or broken package of someone else's: the plain form takes over and says so
        return None
    return version if tuple(map(int, version.split(".")[:2])) >= (0, 6) else None


@dataclass(frozen=True, kw_only=True)
class Flash:
    """One recurrence in flash-linear-attention.

    run: takes what the plain chunked form takes. module, op: the function of fla that it calls.
    float32: float32 tensors too. backward_gates: it differentiates gates of a head in fla's common kernel.
    """

    run: Callable[..., Tensor]
    module: str
    op: str
    float32: bool = True
    backward_gates: bool = False

    def function(self) -> Any:
        """The function of fla, imported when it is first needed."""
        return getattr(importlib.import_module(self.module), self.op)

    def serves(self, keys: Tensor, values: Tensor) -> bool:
        """Whether the kernels take these tensors and keep to the run's number format.

        float32 tensors they multiply in tf32, so they serve them where the run allows that
        (`harness.training.precision`).
        """
        if not values.is_cuda or keys.shape[-1] > WIDEST_KEYS or flash_version() is None:
            return False
        if is_batchedtensor(values):  # torch.func.vmap does not reach into Triton kernels
            return False
        if self.backward_gates and _refused_on_hopper():
            return False
        if values.dtype == torch.float32:
            return self.float32 and torch.get_float32_matmul_precision() != "highest"
        return values.dtype in (torch.bfloat16, torch.float16)


def _refused_on_hopper() -> bool:
    """Triton 3.4 to 3.7.0 on Hopper GPUs computes the gates' gradients wrongly, and fla raises an error there."""
    fla: Any = importlib.import_module("fla.utils")
    return fla.IS_NVIDIA_HOPPER and fla.TRITON_ABOVE_3_4_0 and not fla.TRITON_ABOVE_3_7_1


def linear(queries: Keys, keys: Keys, values: Values) -> Values:
    """Linear attention; phi and the normalizer are ours, because fla's normalizer adds another epsilon."""
    queries, keys = feature_map(queries), feature_map(keys)
    normalizer = (queries.float() * keys.float().cumsum(2)).sum(-1, keepdim=True) + EPSILON
    return (_run(LINEAR, {"q": queries, "k": keys, "v": values}) / normalizer).to(values.dtype)


def gated_linear(queries: Keys, keys: Keys, values: Values, log_alpha: Keys) -> Values:
    """Gated linear attention."""
    return _run(GATED_LINEAR, {"q": queries, "k": keys, "v": values}, g=log_alpha.float())


def retention(queries: Keys, keys: Keys, values: Values, log_decay: Float[Tensor, "1 heads length"]) -> Values:
    """A fixed decay a head: of `log_decay`, which must be the same at every step, the first is taken."""
    return _run(RETENTION, {"q": queries, "k": keys, "v": values}, g_gamma=log_decay[0, :, 0].float())


def gated_delta(queries: Keys, keys: Keys, values: Values, log_alpha: Scalars, beta: Scalars) -> Values:
    """The gated delta rule."""
    return _run(GATED_DELTA, {"q": queries, "k": keys, "v": values}, g=log_alpha.float(), beta=beta.float())


def delta(queries: Keys, keys: Keys, values: Values, beta: Scalars) -> Values:
    """The delta rule without a decay."""
    return _run(DELTA, {"q": queries, "k": keys, "v": values}, beta=beta.float())


def wkv7(queries: Keys, keys: Keys, values: Values, log_decay: Keys, removed: Keys, added: Keys) -> Values:
    """RWKV-7's recurrence. No `log_decay` may be below LOWEST_LOG_DECAY: told so, fla takes its matrix products."""
    factors = {"r": queries, "k": keys, "v": values, "a": removed, "b": added}
    return _run(WKV7, factors, w=log_decay.float(), lower_bound=LOWEST_LOG_DECAY)


def _run(flash: Flash, factors: dict[str, Tensor], **others: Any) -> Tensor:
    """Run the function of fla on tensors [batch, heads, length, ...]; `factors` of products get the values' dtype."""
    values = factors["v"]  # autocast leaves other factors in float32, and the kernels want one dtype
    given = {name: factor.to(values.dtype) for name, factor in factors.items()} | others
    theirs = {name: _their_layout(value) if torch.is_tensor(value) else value for name, value in given.items()}
    return flash.function()(**theirs, scale=1.0)[0].transpose(1, 2)[..., : values.shape[-1]]


def _their_layout(tensor: Tensor) -> Tensor:
    """[batch, length, heads, ...], channels filled up to whole blocks; a number a head stays as it is."""
    if tensor.ndim == 1:
        return tensor
    filled = F.pad(tensor, (0, -tensor.shape[3] % BLOCK)) if tensor.ndim == 4 else tensor
    return filled.transpose(1, 2).contiguous()


LINEAR = Flash(run=linear, module="fla.ops.simple_gla", op="chunk_simple_gla")
GATED_LINEAR = Flash(run=gated_linear, module="fla.ops.gla", op="chunk_gla")
RETENTION = Flash(run=retention, module="fla.ops.simple_gla", op="chunk_simple_gla")
GATED_DELTA = Flash(
    run=gated_delta, module="fla.ops.gated_delta_rule", op="chunk_gated_delta_rule", backward_gates=True
)
# In float32 fla refuses this one.
DELTA = Flash(run=delta, module="fla.ops.delta_rule", op="chunk_delta_rule", float32=False)
# In float32 fla itself warns that its kernels for this one are not supported on some platforms.
WKV7 = Flash(run=wkv7, module="fla.ops.rwkv7", op="chunk_rwkv7", float32=False)
FLASH = (LINEAR, GATED_LINEAR, RETENTION, GATED_DELTA, DELTA, WKV7)
