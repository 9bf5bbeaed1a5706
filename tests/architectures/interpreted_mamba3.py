"""mamba-ssm's own Mamba3 in Triton's interpreter, on a CPU: `python interpreted_mamba3.py given.pt results.pt`.

A process of its own: Triton reads TRITON_INTERPRET when it is imported. What stands in for what is only on a GPU:
Triton's own operations for the inline assembly of cos, sin and tanh, fixed timings for the autotuner's, and the
package's own plain norms of B and C. And float32 wherever the functions around the kernels say bfloat16, whose
products come out wrong in the interpreter. The kernels are otherwise as installed.
"""

import os
import sys
import types

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton.language as tl
from triton.runtime.autotuner import Autotuner

from harness.architectures.layers.mamba_package import load_privately


def tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


# tl.cos is looked up at each call: the interpreter exchanges it while a kernel runs.
STAND_INS = {
    "cos_approx": lambda x: tl.cos(x),
    "sin_approx": lambda x: tl.sin(x),
    "tanh_approx": tanh,
    "sech2_approx": lambda x: 1 - tanh(x) * tanh(x),
}


def interpreted_block():
    """The package's class, ready to run here."""
    module = load_privately("mamba_ssm.modules.mamba3")
    combined = module.mamba3_siso_combined.__globals__
    for function in (combined["mamba3_siso_fwd"], combined["compute_dqkv"], combined["angle_dt_fwd"]):
        function.__globals__.update({name: f for name, f in STAND_INS.items() if name in function.__globals__})
    plain_norm = module.RMSNormGated.forward.__globals__["rms_norm_ref"]
    module.RMSNormGated.forward = lambda norm, x: plain_norm(x, norm.weight, None, eps=norm.eps)

    in_float32 = types.SimpleNamespace(**vars(torch) | {"bfloat16": torch.float32})
    combined["torch"] = combined["mamba3_siso_fwd"].__globals__["torch"] = in_float32
    return module.Mamba3


def main(given_path, results_path):
    torch.set_num_threads(1)
    Autotuner._bench = lambda self, *arguments, config, **options: [1.0, 1.0, 1.0]
    given = torch.load(given_path)
    block = interpreted_block()(**given["size"])
    block.load_state_dict(given["parameters"])
    torch.Tensor.is_cuda = True  # which the backward pass asserts
    x = given["x"].requires_grad_()
    y = block(x)
    (y * given["direction"]).sum().backward()
    results = {"y": y.detach(), "x": x.grad} | {name: parameter.grad for name, parameter in block.named_parameters()}
    torch.save(results, results_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
