"""The hinge loss of the paper's model over a whole data set, and its gradient (arXiv 2602.12499, Eqs. 2-6).

    y_t = sum_{s<=t} prod_{s<j<=t} (1 - sigmoid(u_j)) sigmoid(u_s) S_ts x_s,   u = X w_D
    F(X) = (1/L) sum_t sum_i v_i relu(W_O[i] . y_t),   loss = mean over samples of max(0, 1 - z F(X))

Scores S do not change while W_B and W_C are frozen, so a data set is bound once and asked often:

    gradient = HingeGradient(tokens, labels)     # [N, L, d] and +1 or -1 [N]; scores x_s . x_t
    step = gradient(w_D, W_O, v)                 # .loss .margins .gate .hidden
    gradient.kernel                              # "fused gated gradient/cpp", or torch's quadratic form

Gradients at the kinks are torch's: zero at a margin of exactly 1, and zero where W_O[i] . y_t is exactly 0.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.contracts import compiled as cpp_library
from harness.contracts.errors import UserError

from .gradient_torch import hinge_gradient_replicas, hinge_outputs, mixed

SOURCE = Path(__file__).with_name("gradient.cpp")
SLACK = 16  # floats that the last vector of packed scores may read past their end
PACKED_BYTES = 2**30
"""Scores of tokens with themselves are computed anew on every call where keeping them would take more."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """loss: mean hinge loss. margins: z F(X) [N]. gate: dloss/dw_D [d]. hidden: dloss/dW_O [m, d]."""

    loss: float
    margins: Tensor
    gate: Tensor
    hidden: Tensor


class HingeGradient:
    """The gradient over one data set; the same bits on every call with the same arguments.

    tokens: [N, L, d]. labels: +1 or -1 [N]. scores: S [N, L, L], of which s <= t counts, or None for x_s . x_t.
    frozen_gate: every gate stays at 1/2 (w_D = 0): y is computed once, and `gate` is zero.

    float32 on a CPU runs fused in C++ on one thread where a compiler is there; all else in torch.

    Raises:
        UserError: shapes that do not fit together.
    """

    def __init__(self, tokens: Tensor, labels: Tensor, scores: Tensor | None = None, *, frozen_gate: bool = False):
        samples, length, width = tokens.shape
        _check("labels", labels, (samples,))
        if scores is not None:
            _check("scores", scores, (samples, length, length))
        self.shape = samples, length, width
        self.labels = labels.detach().to(tokens).contiguous()
        self.frozen_gate = frozen_gate
        self._tokens = tokens.detach().contiguous()
        self._scores = None if scores is None else scores.detach().to(tokens).contiguous()
        fits = tokens.dtype == torch.float32 and tokens.device.type == "cpu"
        self._library = cpp_library.load(SOURCE) if fits and cpp_library.cpp_wanted() else None
        form = "frozen-gate" if frozen_gate else "gated"
        self.kernel = f"fused {form} gradient/cpp" if self._library else f"torch {form} gradient/{tokens.device.type}"
        if self._library is None:
            self._y = mixed(self._tokens, self._scores, tokens.new_zeros(width)) if frozen_gate else None
            return
        self._scores = self._packed_scores()
        if frozen_gate:
            y = torch.empty_like(self._tokens)
            self._run("mix", self._problem(w_D=torch.zeros(width)), y)
            self._tokens, self._scores = y, None

    def __call__(self, w_D: Tensor, W_O: Tensor, v: Tensor) -> Gradient:
        """Loss, margins and gradients at w_D [d], W_O [m, d], v [m]."""
        w_D, W_O, v = self._checked(w_D, W_O, v)
        if self._library is None:
            found = hinge_gradient_replicas(
                self._tokens, self.labels, w_D[None], W_O[None], v[None], scores=self._scores, y=self._y
            )
            return Gradient(
                loss=float(found.losses), margins=found.margins[0], gate=found.gate[0], hidden=found.hidden[0]
            )
        margins, gate, hidden = self.labels.new_empty(self.shape[0]), torch.zeros_like(w_D), torch.empty_like(W_O)
        loss = ctypes.c_double()
        given = {"w_D": w_D, "W_O": W_O, "v": v, "margins": margins, "gate": gate, "hidden": hidden}
        self._run("hinge_gradient", self._problem(loss=loss, mixed=self.frozen_gate, **given))
        return Gradient(loss=loss.value, margins=margins, gate=gate, hidden=hidden)

    def outputs(self, w_D: Tensor, W_O: Tensor, v: Tensor) -> Tensor:
        """F(X) [N], forward only."""
        w_D, W_O, v = self._checked(w_D, W_O, v)
        if self._library is None:
            return hinge_outputs(self._tokens, w_D, W_O, v, scores=self._scores, y=self._y)
        margins = self.labels.new_empty(self.shape[0])
        given = {"w_D": w_D, "W_O": W_O, "v": v, "margins": margins}
        self._run("hinge_gradient", self._problem(loss=ctypes.c_double(), mixed=self.frozen_gate, **given))
        return margins * self.labels  # F = z (z F), exactly

    def _checked(self, *parameters: Tensor) -> list[Tensor]:
        width, neurons = self.shape[2], len(parameters[2])
        shapes = {"w_D": (width,), "W_O": (neurons, width), "v": (neurons,)}
        for value, (name, shape) in zip(parameters, shapes.items(), strict=True):
            _check(name, value, shape)
        if self.frozen_gate and parameters[0].count_nonzero():
            raise UserError("paper gradient: with frozen gates w_D stays zero; pass zeros, or bind with gates")
        return [value.detach().to(self._tokens).contiguous() for value in parameters]

    def _problem(self, *, loss: ctypes.c_double | None = None, mixed: bool = False, **arrays: Tensor) -> _Problem:
        samples, length, width = self.shape
        problem = _Problem(samples=samples, length=length, width=width, mixed=mixed)
        problem.held = arrays, loss  # addresses alone would let them go
        arrays = {"tokens": self._tokens, "labels": self.labels, **arrays}
        if self._scores is not None:
            arrays["scores"] = self._scores
        if "W_O" in arrays:
            problem.neurons = len(arrays["W_O"])
        for name, tensor in arrays.items():
            setattr(problem, name, tensor.data_ptr())
        if loss is not None:
            problem.loss = ctypes.addressof(loss)
        return problem

    def _run(self, function: str, problem: _Problem, *arrays: Tensor | None) -> None:
        pointers = [ctypes.c_void_p(None if array is None else array.data_ptr()) for array in arrays]
        getattr(self._library, function)(ctypes.byref(problem), *pointers)

    def _packed_scores(self) -> Tensor | None:
        """S_ts with s <= t alone, [N, L (L + 1) / 2] flat with slack; None where the kernel is to compute them."""
        samples, length, width = self.shape
        pairs = length * (length + 1) // 2
        if self._scores is None and 4 * samples * pairs > PACKED_BYTES:
            return None
        packed = torch.empty(samples * pairs + SLACK)
        self._run("pack_scores", self._problem(w_D=torch.zeros(width)), self._scores, packed)
        return packed


def flops(N: int, L: int, d: int, m: int, *, frozen_gate: bool = False) -> int:
    """Floating-point operations of one full gradient, multiplications and additions, when every hinge is active.

    For each sample three products between tokens and neurons (H, dW_O, dY), L d m each; two over the causal half of
    all pairs (Y, dP), L (L + 1) / 2 d each; and u and dw_D, L d each. With frozen gates H and dW_O remain. Gates,
    weights and sums over them, about 25 L + 4 L (L + 1) / 2, are left out.
    """
    multiplications = 2 * L * d * m if frozen_gate else 3 * L * d * m + 2 * (L * (L + 1) // 2) * d + 2 * L * d
    return 2 * N * multiplications


class _Problem(ctypes.Structure):
    """The argument of the C++ functions, in the order of its `struct Problem`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("samples", "length", "width", "neurons")),
        *((name, ctypes.c_void_p) for name in ("tokens", "labels", "scores", "w_D", "W_O", "v")),
        ("mixed", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("margins", "loss", "gate", "hidden")),
    ]


def _check(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise UserError(f"paper gradient: {name} must be {list(shape)} here, got {list(value.shape)}; pass that shape")
