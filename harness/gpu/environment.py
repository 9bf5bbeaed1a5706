"""What the machine has, and whether its number formats are what they are called."""

from __future__ import annotations

import importlib
import platform
import subprocess
from typing import Any

import torch

from harness.timing.sampling import seconds_of
from harness.training.precision import precision

from .bench import Bench
from .pieces import Row, Rows, piece, versions

EXTENSIONS = ("triton", "selective_scan_cuda", "causal_conv1d", "fla.ops.simple_gla", "mamba_ssm")
"""Modules whose import decides which kernels can run."""

LARGEST_ERROR = {"float32": 1e-5, "tf32": 2e-3, "bfloat16": 2e-2}
"""Of a matrix product with 512 summands, relative to its largest entry: rounding to 24, 11 and 8 bits, times ten."""


@piece("environment", title="what is installed, and whether number formats are kept", minutes=1)
def environment(bench: Bench) -> Rows:
    """Card, driver, packages; matrix products in each format against float64."""
    yield Row(case="machine", passed=None, found=f"{bench.name}, {platform.system()}", facts=_card(bench))
    yield Row(case="python", passed=None, found=platform.python_version())
    for package, version in versions().items():
        yield Row(case=f"package {package}", passed=None, found=version or "not installed")
    for module in EXTENSIONS:
        yield Row(case=f"import {module}", passed=None, found=_imports(module))
    yield from _formats(bench)


def _card(bench: Bench) -> dict[str, Any]:
    if not bench.is_gpu:
        return {}
    found = torch.cuda.get_device_properties(0)
    facts = {"capability": f"{found.major}.{found.minor}", "memory_bytes": found.total_memory}
    facts |= {"multiprocessors": found.multi_processor_count, "cuda": torch.version.cuda}
    return facts | {"cudnn": torch.backends.cudnn.version(), "driver": _driver()}


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip().partition("\n")[0] or None


def _imports(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # someone else's package may raise anything
        return f"no: {type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
    return "yes"


def _formats(bench: Bench) -> Rows:
    """A product in each format: right to its rounding, and, from tf32 on, no better than its rounding can be."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=generator, dtype=torch.float64) for _ in range(2))
    expected = a @ b
    side = bench.pick(8192, 256)
    large = torch.randn(side, side, device=bench.device)
    for dtype in bench.dtypes:
        with precision(dtype, bench.device):
            found = (a.float().to(bench.device) @ b.float().to(bench.device)).double().cpu()
            seconds = seconds_of(lambda: large @ large, 3)
        error = float((found - expected).abs().max() / expected.abs().max())
        too_fine = dtype != "float32" and error <= LARGEST_ERROR["float32"]
        facts = {"relative_error": error, "tera_flop_per_second": 2 * side**3 / seconds / 1e12}
        speed = f"{facts['tera_flop_per_second']:.3g} TFLOP/s at {side:,} x {side:,}"
        passed: bool | None = error <= LARGEST_ERROR[dtype] and not too_fine
        if dtype == "tf32" and too_fine and torch.cuda.get_device_capability()[0] < 8:
            passed = None  # this card has no such products, and computes in float32
        yield Row(case=f"product in {dtype}", passed=passed, found=f"error {error:.1e}; {speed}", facts=facts)
