"""`doctor`: what is installed, which kernels can run here, what is missing and how to get it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform

PACKAGES = (
    "torch", "numpy", "einops", "jaxtyping", "scikit-image", "pandas", "pyarrow", "scipy", "scikit-posthocs",
    "matplotlib", "rich", "mamba-ssm", "triton", "transformers", "causal-conv1d", "flash-linear-attention", "ray",
    "pytest-benchmark",
)  # fmt: skip
CURES = {
    "torch": 'pip install "torch>=2.6,<2.14"',
    "mamba-ssm": "MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE pip install --no-build-isolation --no-deps"
    " mamba-ssm==2.3.2.post1, and pip install triton transformers",
}
"""Where it takes more than `pip install NAME`."""

NOTES = {
    "pyarrow": "for export to Parquet",
    "triton": "mamba-ssm imports it",
    "transformers": "mamba-ssm imports it",
    "causal-conv1d": "CUDA machines only",
    "flash-linear-attention": "CUDA machines only; linear-attention, gated-linear-attention, retnet, gated-deltanet,"
    " deltanet and rwkv7 then run in its kernels with --dtype tf32 or bfloat16",
    "ray": "for --executor ray",
    "pytest-benchmark": "for tests/benchmarks",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def main(options: argparse.Namespace) -> int:
    """Print what is here."""
    import torch

    from harness.contracts.errors import Unsupported
    from harness.registry import architectures
    from harness.running.resources import usable_processors
    from harness.store.provenance import processor
    from harness.timing.checking import errors_against_reference
    from harness.timing.machine import SAMPLES, machine_peaks

    print(f"machine    {processor()}, {usable_processors()} processors usable, {platform.system()}")
    print(f"python     {platform.python_version()}")
    print("packages")
    for package in PACKAGES:
        try:
            print(f"  {package:<18} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            note = f" ({NOTES[package]})" if package in NOTES else ""
            print(f"  {package:<18} missing: {CURES.get(package, f'pip install {package}')}{note}")
    print("devices")
    print(f"  cpu                {torch.get_num_threads()} torch threads by default; runs train with 1")
    if torch.cuda.is_available():
        print(f"  cuda               {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    else:
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
        print(f"  cuda               not there: {built}")
    found = machine_peaks()
    print(f"what one thread reaches (float32, medians of {SAMPLES} samples, in whatever else runs here now)")
    print(f"  matrix product     {found.product_gflops:.0f} GFLOP/s")
    print(f"  copy               {found.copy_gigabytes:.1f} GB/s, read and written")
    print(f"  exponential        {found.exponential_giga:.2f} G/s")
    print("architectures, each tried on 2 x 16 steps of width 32 on the CPU")
    cells = torch.stack([torch.arange(16) // 4, torch.arange(16) % 4], dim=-1)[None]
    x = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(0))
    for entry in architectures:
        generator = torch.Generator().manual_seed(0)
        try:
            mixer = entry.create(entry.resolve({}), width=32, length=16, grid=(4, 4), generator=generator)
            error, gradient_error = errors_against_reference(mixer, x, cells)
            print(f"  {entry.name:<18} {mixer.kernel}; error to the float64 reference {error:.0e}/{gradient_error:.0e}")
        except Unsupported as error:
            print(f"  {entry.name:<18} unsupported: {error}")
    if importlib.util.find_spec("selective_scan_cuda") is None:
        print("mamba's CUDA kernels (selective_scan_cuda) are not installed: CPU runs use the harness's own scan;")
        print("  for a CUDA machine: pip install --no-build-isolation mamba-ssm causal-conv1d")
    return 0
