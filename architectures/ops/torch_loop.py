"""The selective scan as a loop over time of in-place torch operations, with its gradient written by hand.

    h_t = a_t h_{t-1} + (delta_t u_t) B_t,  a_t = exp(delta_t A) or 2 exp(delta_t A) - 1,  y_t = sum_n C_tn h_tn

Every step's slice [batch, state, channels] is contiguous with channels innermost: products with a step's
[batch, channels] and [batch, state] then broadcast along whole vectors, and sums over the state are plain additions.
What does not depend on the step before runs on blocks of steps that fit a cache. Decays are recomputed in the backward
pass rather than kept; only the states are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import LOG2_E

BLOCK_ELEMENTS = 1 << 18


class TorchLoop(torch.autograd.Function):
    """(u, delta, A, B, C, signed, keep_states) -> y.

    u, delta, y: [length, batch, channels]. A: [state, channels]. B, C: [length, batch, state]. All contiguous, one
    floating dtype. signed: a_t is the second. Without `keep_states` there is no backward pass, and only one block of
    states is held.
    """

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, signed: bool, keep_states: bool
    ) -> Tensor:
        length, batch, channels = u.shape
        state = A.shape[0]
        block = _block(length, batch * state * channels)
        written = delta * u
        y = torch.empty_like(u)
        states = u.new_empty(length if keep_states else block, batch, state, channels)
        decays = u.new_empty(block, batch, state, channels)
        previous = u.new_zeros(batch, state, channels)
        for start in range(0, length, block):
            stop = min(start + block, length)
            decay = _decays(delta[start:stop], A, signed, out=decays)
            current = states[start:stop] if keep_states else states[: stop - start]
            torch.mul(written[start:stop, :, None, :], B[start:stop, :, :, None], out=current)
            for a, h in zip(decay.unbind(), current.unbind(), strict=True):
                previous = h.addcmul_(a, previous)
            _rows_times(C[start:stop], current, out=y[start:stop])
            if not keep_states:
                previous = previous.clone()  # the next block writes over it
        ctx.signed = signed
        if keep_states:
            ctx.save_for_backward(u, delta, A, B, C, states)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, states = ctx.saved_tensors
        grad_y = grad_y.contiguous()
        length, batch, channels = u.shape
        state = A.shape[0]
        block = _block(length, batch * state * channels)
        written = delta * u
        grad_written, grad_delta = torch.empty_like(u), torch.empty_like(u)
        grad_B, grad_C = torch.empty_like(B), torch.empty_like(C)
        grad_A = u.new_zeros(batch, state, channels)
        decays, grads = (u.new_empty(block, batch, state, channels) for _ in range(2))
        from_later = u.new_zeros(batch, state, channels)

        for start in reversed(range(0, length, block)):
            stop = min(start + block, length)
            decay = _decays(delta[start:stop], A, ctx.signed, out=decays)
            grad_state = grads[: stop - start]
            torch.mul(grad_y[start:stop, :, None, :], C[start:stop, :, :, None], out=grad_state)
            # From here `decay` is overwritten, last step first, by the gradient of its own exponent delta_t A.
            for step in reversed(range(stop - start)):
                torch.mul(grad_state[step].add_(from_later), decay[step], out=from_later)
                if start + step > 0:
                    # Of 2 exp(e) - 1 the slope is 2 exp(e), the decay and 1.
                    to_exponent = from_later + grad_state[step] if ctx.signed else from_later
                    torch.mul(to_exponent, states[start + step - 1], out=decay[step])
                else:
                    decay[step].zero_()
                grad_A.addcmul_(decay[step], delta[start + step, :, None, :])
            _rows_times(B[start:stop], grad_state, out=grad_written[start:stop])
            _times_columns(grad_state, written[start:stop], out=grad_B[start:stop])
            _times_columns(states[start:stop], grad_y[start:stop], out=grad_C[start:stop])
            torch.sum(decay.mul_(A), dim=2, out=grad_delta[start:stop])

        grad_delta.addcmul_(grad_written, u)
        return grad_written.mul_(delta), grad_delta, grad_A.sum(0), grad_B, grad_C, None, None


def _block(length: int, elements: int) -> int:
    return min(length, max(1, BLOCK_ELEMENTS // max(elements, 1)))


def _decays(delta: Tensor, A: Tensor, signed: bool, out: Tensor) -> Tensor:
    """a_t of a block of steps. exp2: torch.exp on a CPU is 10 to 25 times slower once results underflow."""
    decay = out[: len(delta)]
    torch.mul(delta[:, :, None, :], A * LOG2_E, out=decay).exp2_()
    return decay.mul_(2).sub_(1) if signed else decay


def _rows_times(rows: Tensor, blocks: Tensor, out: Tensor) -> None:
    """Per step and sequence: [state] times [state, channels]."""
    torch.bmm(rows.flatten(0, 1)[:, None, :], blocks.flatten(0, 1), out=out.flatten(0, 1)[:, None, :])


def _times_columns(blocks: Tensor, columns: Tensor, out: Tensor) -> None:
    """Per step and sequence: [state, channels] times [channels]; written as a row times a transpose, 9 times faster."""
    rows, transposes = columns.flatten(0, 1)[:, None, :], blocks.flatten(0, 1).transpose(1, 2)
    torch.bmm(rows, transposes, out=out.flatten(0, 1)[:, None, :])
