"""Mamba's selective scan (arXiv 2312.00752, Eq. 2 with the discretization of its Algorithm 2), and its paths.

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t,   y_t = C_t h_t + D u_t,   then y_t silu(z_t)

and the same with 2 exp(delta_t A) - 1, in [-1, 1], for exp(delta_t A) (Grazzi et al., arXiv 2411.12537).

`selective_scan` is the one that mixers call: C++ for what its kernel takes, where a compiler is at hand, else a loop of
torch operations. `selective_scan_reference` is the plainest loop, for tests and for judging speeds.
"""

from __future__ import annotations

import threading

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .selective_scan_cpp import FUNCTIONS, Inputs, cpp_available, selective_scan_cpp
from .torch_loop import TorchLoop

_ran = threading.local()


def selective_scan(
    u: Float[Tensor, "batch channels length"],
    delta: Float[Tensor, "batch channels length"],
    A: Float[Tensor, "channels state"],
    B: Float[Tensor, "batch state length"],
    C: Float[Tensor, "batch state length"],
    D: Float[Tensor, " channels"] | None = None,
    z: Float[Tensor, "batch channels length"] | None = None,
    delta_bias: Float[Tensor, " channels"] | None = None,
    delta_softplus: bool = False,
    signed: bool = False,
) -> Float[Tensor, "batch channels length"]:
    """The scan in the layout of mamba-ssm's `selective_scan_fn`; `last_path()` then says what computed it.

    Computes in the dtype of `u`, at least float32, and returns the dtype of `u`. `delta_bias` is added to `delta`
    before the softplus that `delta_softplus` asks for. signed: with transitions in [-1, 1].
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    given = (u, delta, A, B, C, D, z, delta_bias)
    inputs = Inputs._make(
        [*(tensor if tensor is None else tensor.to(dtype) for tensor in given), delta_softplus, signed]
    )
    if _cpp_serves(inputs):
        note_path("cpp")
        return selective_scan_cpp(inputs).to(u.dtype)
    note_path("torch loop")
    return _torch_loop(inputs).to(u.dtype)


def last_path() -> str:
    """The path that this thread's last scan took, "torch loop" for instance."""
    return getattr(_ran, "path", "not run")


def note_path(path: str) -> None:
    """Record which path this thread's scan took."""
    _ran.path = path


def _cpp_serves(inputs: Inputs) -> bool:
    """One map B and C of time for all channels, real numbers, on a CPU."""
    on_cpu = all(value.device.type == "cpu" for value in inputs if isinstance(value, Tensor))
    plain = inputs.u.dtype in FUNCTIONS and inputs.B.ndim == inputs.C.ndim == 3
    return on_cpu and plain and cpp_available()


def _torch_loop(inputs: Inputs) -> Tensor:
    def steps_first(tensor: Tensor) -> Tensor:
        return tensor.permute(2, 0, 1).contiguous()

    u, step_size = steps_first(inputs.u), steps_first(inputs.delta)
    if inputs.bias is not None:
        step_size = step_size + inputs.bias
    if inputs.softplus:
        step_size = F.softplus(step_size)
    loop = (u, step_size, inputs.A.t().contiguous(), steps_first(inputs.B), steps_first(inputs.C))
    keep_states = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in loop)
    y = TorchLoop.apply(*loop, inputs.signed, keep_states)
    if inputs.D is not None:
        y = torch.addcmul(y, u, inputs.D)
    if inputs.z is not None:
        y = y * F.silu(inputs.z.permute(2, 0, 1))
    return y.permute(1, 2, 0)


def selective_scan_reference(
    u: Float[Tensor, "batch channels length"],
    delta: Float[Tensor, "batch channels length"],
    A: Float[Tensor, "channels state"],
    B: Float[Tensor, "batch state length"],
    C: Float[Tensor, "batch state length"],
    D: Float[Tensor, " channels"] | None = None,
    z: Float[Tensor, "batch channels length"] | None = None,
    delta_bias: Float[Tensor, " channels"] | None = None,
    delta_softplus: bool = False,
    signed: bool = False,
) -> Float[Tensor, "batch channels length"]:
    """The same, one step after the other in the dtype of `u`, differentiated by autograd."""
    A = A.to(u.dtype)
    if delta_bias is not None:
        delta = delta + delta_bias.to(u.dtype)[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    state = u.new_zeros(u.shape[0], *A.shape)
    outputs = []
    for x, step_size, b, c in zip(u.unbind(2), delta.unbind(2), B.unbind(2), C.unbind(2), strict=True):
        kept = torch.exp(step_size[:, :, None] * A)
        kept = 2 * kept - 1 if signed else kept
        state = kept * state + (step_size * x)[:, :, None] * b[:, None, :]
        outputs.append((state * c[:, None, :]).sum(-1))
    y = torch.stack(outputs, dim=2)
    if D is not None:
        y = y + u * D.to(u.dtype)[:, None]
    return y if z is None else y * F.silu(z)
