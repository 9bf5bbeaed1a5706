"""The mamba-ssm package's own block, also on a machine without its CUDA extension.

`import mamba_ssm` imports every model of the package (and transformers: 6 s) and fails where `selective_scan_cuda` was
not built. Its Mamba block alone needs neither, so that one module is loaded here, under a bare `mamba_ssm` package
whose __init__ does not run, and with a stand-in for the extension where it is missing: 0.3 s.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.selective_scan import note_path, selective_scan

EXTENSION = "selective_scan_cuda"


@dataclass(frozen=True, kw_only=True)
class MambaPackage:
    """What was found of mamba-ssm.

    block: its class. fused: its one-kernel path can run for CUDA tensors.
    """

    version: str
    block: type[nn.Module]
    fused: bool


@functools.cache
def mamba_package() -> MambaPackage | None:
    """The package's Mamba block, able to run on any device, or None where it does not import."""
    found = _found("mamba_ssm.modules.mamba_simple")
    if found is None:
        return None
    module, version = found
    has_extension = _has_extension()
    has_convolution = module.causal_conv1d_fn is not None
    module.selective_scan_fn = _scan_for_any_device(module.selective_scan_fn if has_extension else None)
    if has_convolution:
        module.causal_conv1d_fn = _convolution_for_any_device(module.causal_conv1d_fn)
    return MambaPackage(version=version, block=module.Mamba, fused=has_extension and has_convolution)


@functools.cache
def triton_package(name: str) -> MambaPackage | None:
    """The same for a later block ("Mamba2"), whose kernels are Triton's; None where there is no CUDA, too."""
    found = _found(f"mamba_ssm.modules.{name.lower()}") if torch.cuda.is_available() else None
    if found is None:
        return None
    module, version = found
    fused = getattr(module, "causal_conv1d_fn", None) is not None
    # Off its one-kernel path Mamba-2's block then takes torch's convolution, which has any number of taps.
    module.causal_conv1d_fn = None
    return MambaPackage(version=version, block=getattr(module, name), fused=fused)


def _found(name: str) -> tuple[Any, str] | None:
    """A module of the package and the package's version."""
    try:
        return load_privately(name), importlib.metadata.version("mamba-ssm")
    except Exception:  # a missing or broken package of someone else's: the plain block takes over and says so
        return None


def load_privately(name: str) -> types.ModuleType:
    """Import one module of mamba_ssm and leave sys.modules as it was.

    Nothing stays behind on purpose. A stand-in left in sys.modules would let a later `import mamba_ssm` elsewhere in
    the process succeed and fail only once a kernel is called; and what is replaced in the module loaded here must not
    change the package for others. Whoever imports mamba_ssm after us gets exactly what is installed, its ImportError
    included. (The price: the block's class cannot be pickled by name. State dicts and deep copies are fine.)

    Raises:
        ImportError: the package, or something this module of it needs, is not installed.
    """
    spec = importlib.util.find_spec("mamba_ssm")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("mamba_ssm is not installed")
    package = types.ModuleType("mamba_ssm")
    package.__path__ = list(spec.submodule_search_locations)
    replaced = {"mamba_ssm": package}
    if not _has_extension():
        replaced[EXTENSION] = _stand_in()
    with _modules_replaced(replaced):
        return importlib.import_module(name)


@contextmanager
def _modules_replaced(replaced: dict[str, types.ModuleType]) -> Iterator[None]:
    def ours(name: str) -> bool:
        return name in replaced or name.startswith("mamba_ssm.")

    before = {name: module for name, module in sys.modules.items() if ours(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(replaced)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


@functools.cache
def _has_extension() -> bool:
    try:
        importlib.import_module(EXTENSION)
    except ImportError:  # absent, or built for another torch
        return False
    return True


def _stand_in() -> types.ModuleType:
    def missing(*arguments: Any) -> None:
        raise RuntimeError(f"mamba-ssm's CUDA extension {EXTENSION} is not installed; build mamba-ssm with CUDA")

    module = types.ModuleType(EXTENSION)
    module.fwd = module.bwd = missing  # type: ignore[attr-defined]
    return module


def _scan_for_any_device(cuda_scan: Callable[..., Any] | None) -> Callable[..., Any]:
    """mamba-ssm's `selective_scan_fn`: its CUDA kernel where there is one and the tensors are there, else ours."""

    def selective_scan_fn(
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None = None,
        z: Tensor | None = None,
        delta_bias: Tensor | None = None,
        delta_softplus: bool = False,
        return_last_state: bool = False,
    ) -> Any:
        if cuda_scan is not None and u.is_cuda:
            note_path(EXTENSION)
            return cuda_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state)
        if return_last_state:
            raise NotImplementedError("the scan without CUDA does not return its last state")
        return selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus)

    return selective_scan_fn


def _convolution_for_any_device(cuda_convolution: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """causal_conv1d's function, which knows CUDA tensors only, with torch's convolution for the others."""

    def causal_conv1d_fn(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
        if x.is_cuda:
            return cuda_convolution(x=x, weight=weight, bias=bias, activation=activation)
        channels, taps = weight.shape
        padded = F.pad(x, (taps - 1, 0))
        return F.silu(torch.conv1d(padded, weight[:, None, :], bias, groups=channels))

    return causal_conv1d_fn
