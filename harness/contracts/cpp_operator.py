"""Operators in C++ for tensors on a CPU: handing them over by address and strides, and choosing between float types.

A source, which `compiled` builds, has a `struct Problem` and functions that take its address: forward_float32,
forward_float64, backward_float32 and backward_float64. Around them stands a torch.autograd.Function; its caller asks
`serves` first and has a form in torch operations for what is not served.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch._C._functorch import is_batchedtensor

from . import compiled

FUNCTIONS = {torch.float32: "float32", torch.float64: "float64"}


@dataclass(frozen=True)
class CppOperator:
    """Functions of one C++ source, which take the address of its `struct Problem`.

    name: as a record has it, where it is a path that a mixer can take.
    numbers: the struct's whole numbers, in their order; "threads", the last, is filled in here.
    tensors: its tensors behind them, by name how many strides are handed over with the address, those of the leading
        dimensions; the last dimension's is 1. With 0, an address alone: such a tensor is contiguous.
    """

    name: str
    source: Path
    numbers: tuple[str, ...]
    tensors: Mapping[str, int]

    def available(self) -> bool:
        """Whether it can be had here; the first call compiles it where it never was."""
        return compiled.cpp_wanted() and compiled.load(self.source) is not None

    def serves(self, *tensors: Tensor | None) -> bool:
        """Whether it takes these tensors: on the CPU, of one float type, not seen through torch.func.vmap."""
        given = [tensor for tensor in tensors if tensor is not None]
        dtype = given[0].dtype
        fits = all(t.device.type == "cpu" and t.dtype == dtype and not is_batchedtensor(t) for t in given)
        return fits and dtype in FUNCTIONS and self.available()

    def run(self, function: str, numbers: Mapping[str, int], tensors: Mapping[str, Tensor | None]) -> None:
        """Call forward or backward; a tensor that is None or empty is a null pointer."""
        fields: dict[str, object] = {}
        held = []  # a copy lives as long as its address is used
        for name, tensor in tensors.items():
            if tensor is None or tensor.numel() == 0:
                continue
            count = self.tensors[name]
            if count == 0 or (tensor.shape[-1] > 1 and tensor.stride(-1) != 1):
                tensor = tensor.contiguous()
            held.append(tensor)
            address = tensor.data_ptr()
            fields[name] = _strided(count)(address, *tensor.stride()[:count]) if count else address
        problem = self._problem(**numbers, threads=torch.get_num_threads(), **fields)
        getattr(compiled.load(self.source), f"{function}_{FUNCTIONS[held[0].dtype]}")(ctypes.byref(problem))

    @functools.cached_property
    def _problem(self) -> type[ctypes.Structure]:
        fields = [
            *((name, ctypes.c_int64) for name in (*self.numbers, "threads")),
            *((name, _strided(count) if count else ctypes.c_void_p) for name, count in self.tensors.items()),
        ]
        return type("Problem", (ctypes.Structure,), {"_fields_": fields})


@functools.cache
def _strided(count: int) -> type[ctypes.Structure]:
    """An address and so many strides, in elements."""
    fields = [("data", ctypes.c_void_p), *((f"stride{i}", ctypes.c_int64) for i in range(count))]
    return type("Strided", (ctypes.Structure,), {"_fields_": fields})
