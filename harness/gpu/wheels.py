"""What to bring along to a GPU machine without network, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

READ = "the file sizes that PyPI gives, read through uv's lock file on 2026-11-28 for Python 3.11 on Linux x86-64"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A package, or several, with its size in bytes. source: comes as source and is built there, with nvcc."""

    name: str
    purpose: str
    size: int
    source: bool = False


WHEELS = (
    Wheel(name="torch==2.13.0", purpose="PyPI's wheel, built for CUDA 13", size=526_574_961),
    Wheel(
        name="18 packages nvidia-*, cuda-*", purpose="CUDA's libraries, which that torch asks for", size=2_006_008_933
    ),
    Wheel(name="triton==3.7.1", purpose="compiler of kernels", size=197_701_306),
    Wheel(
        name="91 packages",
        purpose="all else that the harness and its tests ask for",
        size=255_265_987,
    ),
    Wheel(name="fla-core==0.6.0", purpose="kernels of five recurrences", size=1_085_221),
    Wheel(name="flash-linear-attention==0.6.0", purpose="the package around fla-core", size=403_549),
    Wheel(name="mamba-ssm==2.3.2.post1", purpose="Mamba's kernels", size=216_439, source=True),
    Wheel(name="causal-conv1d==1.7.0", purpose="the convolution of mamba-ssm's kernel", size=30_328, source=True),
)

SMALL = ("fla-core", "flash-linear-attention", "mamba-ssm", "causal-conv1d")
"""What a machine that has torch's CUDA build and Triton already still lacks."""

COMMANDS = (
    'pip download -d wheels "torch==2.13.0" "setuptools>=77" wheel packaging ninja triton transformers',
    'pip download -d wheels --no-build-isolation ".[test,develop]"',
    "pip download -d wheels --no-deps fla-core==0.6.0 flash-linear-attention==0.6.0",
    "export MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE",
    "export CAUSAL_CONV1D_FORCE_BUILD=TRUE CAUSAL_CONV1D_SKIP_CUDA_BUILD=TRUE",
    "pip download -d wheels --no-deps --no-build-isolation mamba-ssm==2.3.2.post1 causal-conv1d==1.7.0",
)
"""On a machine with network and the same Python and system, in the project's folder; `wheels/` then goes along."""


def lines() -> list[str]:
    """A Markdown table of WHEELS."""
    table = ["| what | size | for |", "| --- | ---: | --- |"]
    for wheel in WHEELS:
        built = "; source, built there with nvcc" * wheel.source
        table.append(f"| {wheel.name} | {megabytes(wheel.size)} | {wheel.purpose}{built} |")
    small = megabytes(sum(wheel.size for wheel in WHEELS if wheel.name.startswith(SMALL)))
    told = f"All of it is {megabytes(sum(wheel.size for wheel in WHEELS))}; where torch's CUDA build and Triton are"
    told += f" there already, {small} ({', '.join(SMALL)}) and what is missing of the rest. Sizes: {READ}."
    return [*table, "", told]


def megabytes(size: int) -> str:
    """10^6 bytes, with a digit behind the point below ten."""
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:.2f} MB"
