"""Which kernel ran for each architecture, and whether it is the fast one where its package is installed."""

from __future__ import annotations

import importlib.util

import torch

from harness.contracts.errors import Unsupported
from harness.registry import architectures
from harness.training.execute import first_line
from harness.training.precision import precision

from .bench import Bench
from .mixers import Shape, build, families, inputs
from .pieces import Row, Rows, piece, versions

FLASH, MAMBA, EXTENSION = "fla-core", "mamba-ssm", "selective_scan_cuda"
ALL = ("float32", "tf32", "bfloat16")
EXPECTED = {
    "linear-attention": (FLASH, ("flash-linear-attention",), ("tf32", "bfloat16")),
    "gated-linear-attention": (FLASH, ("flash-linear-attention",), ("tf32", "bfloat16")),
    "retnet": (FLASH, ("flash-linear-attention",), ("tf32", "bfloat16")),
    "gated-deltanet": (FLASH, ("flash-linear-attention",), ("tf32", "bfloat16")),
    "rwkv7": (FLASH, ("flash-linear-attention",), ("bfloat16",)),
    "mamba": (EXTENSION, ("mamba_inner_fn", EXTENSION), ALL),
    "mamba2": (MAMBA, ("mamba-ssm",), ALL),
    "local-attention": ("torch", ("flex attention",), ALL),
}
"""architecture -> (what brings the kernel, parts of its name of which one is there, formats in which it is to run).

Of the others, Mamba-3 among them, whose kernels need packages that few have, nothing is expected.
"""

SHAPE = Shape(batch=4, length=1024, width=128)


@piece(
    "kernels",
    title="which kernel ran for every architecture in every format",
    minutes=5,
    modules=tuple(module for module, _ in families()),
)
def kernels(bench: Bench) -> Rows:
    """A call with its gradient, then the name of what ran."""
    for entry in architectures:
        for dtype in bench.dtypes:
            yield _ran(entry.name, dtype, bench)


def _ran(name: str, dtype: str, bench: Bench) -> Row:
    case, shape = f"{name} {dtype}", bench.pick(SHAPE, Shape(batch=2, length=32, width=16))
    try:
        with precision(dtype, bench.device):
            mixer = build(name, shape, bench)
            x, mask, coords = inputs(shape, bench.device)
            mixer(x.requires_grad_(), mask, coords).sum().backward()
    except Unsupported as error:
        return Row(case=case, passed=None, found=f"unsupported: {error}")
    except Exception as error:
        return Row(case=case, passed=False, found=first_line(error))
    passed, note = judged(name, dtype, mixer.kernel, _installed(), bench.is_gpu and _is_hopper())
    if not bench.is_gpu:
        return Row(case=case, passed=None, found=mixer.kernel)
    return Row(case=case, passed=passed, found=mixer.kernel + note)


def judged(
    name: str, dtype: str, kernel: str, installed: dict[str, str | None], hopper: bool
) -> tuple[bool | None, str]:
    """Whether the kernel is the one that is to run, and a note where it is not; None where nothing is expected."""
    package, parts, formats = EXPECTED.get(name, ("", (), ()))
    if dtype not in formats:
        return None, ""
    if installed.get(package) is None:
        return None, f" ({package} is not installed)"
    if any(part in kernel for part in parts):
        return True, ""
    if name == "gated-deltanet" and hopper and _refused(installed.get("triton")):
        return None, " (its gates' gradients are refused on Hopper with Triton 3.4 to 3.7.0)"
    return False, f" (expected {' or '.join(parts)}: {package} {installed[package]} is there)"


def _installed() -> dict[str, str | None]:
    return versions() | {EXTENSION: "built" if importlib.util.find_spec(EXTENSION) else None}


def _refused(triton: str | None) -> bool:
    return triton is not None and (3, 4, 0) <= tuple(int(part) for part in triton.split(".")[:3]) < (3, 7, 1)


def _is_hopper() -> bool:
    return torch.cuda.get_device_capability()[0] == 9
