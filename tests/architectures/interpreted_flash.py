"""Runs flash-linear-attention's kernels on the CPU by Triton's interpreter; prints errors against our references.

Started by test_flash.py in a process of its own: Triton reads TRITON_INTERPRET when it is first imported.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton.language as tl
from triton.runtime import autotuner, interpreter

from harness.architectures.layers import flash_mixer
from harness.architectures.ops import flash
from harness.architectures.ops.gated_delta import gated_delta_reference
from harness.architectures.ops.linear_attention import gated_linear_reference, linear_reference
from harness.architectures.ops.scalar_decay import scalar_decay_reference
from harness.architectures.ops.wkv7 import LOWEST_LOG_DECAY, wkv7_reference
from harness.registry import architectures
from harness.timing.checking import relative_difference

SHAPES = {"blocks": (70, 16, 32), "filled": (20, 5, 3), "one step": (1, 8, 8)}  # length, channels of keys, of values
MIXERS = ["linear-attention", "gated-linear-attention", "retnet", "gated-deltanet", "rwkv7"]


def numbers_as_in_a_kernel(*bounds):
    """What `range` gives in a kernel: tensors, where the interpreter has Python's int, which has no `.to`."""
    ends = (end.handle.data.item() if isinstance(end, tl.tensor) else getattr(end, "value", end) for end in bounds)
    for number in range(*map(int, ends)):
        yield interpreter.interpreter_semantic.to_tensor(number, False)


def prepare():
    """Take the first configuration, for there is no driver to time them with, and give kernels their `range`."""
    autotuner.Autotuner._bench = lambda self, *arguments, config, **settings: [1.0, 1.0, 1.0]
    for entry in flash.FLASH:
        entry.function()
    for name, module in list(sys.modules.items()):
        if name.startswith("fla.ops.") and getattr(module, "tl", None) is tl:
            module.range = numbers_as_in_a_kernel


def cases(length, state, channels):
    """Each recurrence, its reference and what both take."""

    def drawn(*size):
        return torch.randn(1, 2, length, *size)

    q, k, v, other = drawn(state), drawn(state), drawn(channels), drawn(state)
    unit, learned = torch.nn.functional.normalize(k, dim=-1), drawn(state).sigmoid()
    log_alpha = torch.nn.functional.logsigmoid(drawn(state))
    fixed = torch.tensor([-0.03, -0.5])[None, :, None].expand(-1, -1, length)
    decay = LOWEST_LOG_DECAY * other.sigmoid()
    yield flash.LINEAR, linear_reference, (q, k, v)
    yield flash.GATED_LINEAR, lambda q, k, v, log: gated_linear_reference(q, k, v, log.exp()), (q, k, v, log_alpha)
    yield flash.RETENTION, scalar_decay_reference, (q, k, v, fixed)
    yield flash.GATED_DELTA, gated_delta_reference, (q, unit, v, log_alpha[..., 0], drawn().sigmoid())
    yield flash.WKV7, wkv7_reference, (q, k, v, decay, unit, -learned * unit)


def errors(entry, reference, given):
    """Of the output and of every input's gradient, relative to the reference's largest entry."""

    def run(recur, given):
        given = [tensor.detach().clone().requires_grad_() for tensor in given]
        y = recur(*given)
        direction = torch.linspace(-1, 1, y.numel()).to(y).view_as(y)
        gradients = torch.autograd.grad((y * direction).sum(), given, allow_unused=entry is flash.RETENTION)
        return [y.detach(), *(gradient for gradient in gradients if gradient is not None)]

    expected = run(reference, [tensor.double() for tensor in given])
    found = run(entry.run, given)
    return [relative_difference(a, b) for a, b in zip(found, expected, strict=entry is not flash.RETENTION)]


def of_mixers():
    """Each mixer's forward by the kernels: what it says of itself, and its error against its reference."""
    flash.Flash.serves = lambda *_: True
    flash_mixer.flash_version = lambda: "0.6.0"
    x = torch.randn(2, 40, 32)
    for name in MIXERS:
        entry, values = architectures.parse(name)
        mixer = entry.create(values, width=32, length=40, grid=(1, 40), generator=torch.Generator().manual_seed(0))
        y = mixer(x).detach()
        kernel, flops = mixer.kernel, mixer.uncounted_flops(40)
        error = relative_difference(y, mixer.double().reference(x.double()).detach())
        yield name, {"kernel": kernel, "flops": flops, "error": error}


def main():
    """Print everything."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    prepare()
    found = {}
    for shape, sizes in SHAPES.items():
        for entry, reference, given in cases(*sizes):
            # At one step some gradients are zero, and have no relative error.
            compared = 1 if shape == "one step" else None
            found[f"{entry.run.__name__}, {shape}"] = errors(entry, reference, given)[:compared]
    print(json.dumps({"recurrences": found, "mixers": dict(of_mixers())}))


if __name__ == "__main__":
    main()
