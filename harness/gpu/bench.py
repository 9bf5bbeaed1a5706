"""Where the pieces run: a GPU at full size, or a CPU that stands for one at small sizes, to try the pieces."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from harness.store.provenance import processor
from harness.timing.memory import limit_memory

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A device and how much is asked of it. device: "cuda" or "cpu". small: sizes that a CPU does in seconds."""

    device: str
    small: bool = False

    @property
    def is_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def name(self) -> str:
        """The card's name, or the processor's."""
        return torch.cuda.get_device_name() if self.is_gpu else processor()

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The number formats that it has."""
        return ("float32", "tf32", "bfloat16") if self.is_gpu else ("float32", "bfloat16")

    def pick(self, full: T, small: T) -> T:
        """The one or the other, by size."""
        return small if self.small else full

    def allocated(self) -> int:
        """Bytes of live tensors on a GPU; 0 on a CPU, which does not tell."""
        gc.collect()
        return torch.cuda.memory_allocated() if self.is_gpu else 0

    @contextmanager
    def scarce_memory(self, more_bytes: int) -> Iterator[None]:
        """Let this process take no more than so many bytes beyond what it has, within the block."""
        if self.is_gpu:
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more_bytes) / total)
            try:
                yield
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
                torch.cuda.empty_cache()
            return
        import resource

        before = resource.getrlimit(resource.RLIMIT_AS)
        limit_memory(more_bytes)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)


def missing_gpu() -> str | None:
    """Why there is no GPU to test; None where there is one."""
    if torch.cuda.is_available():
        return None
    return "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no GPU"
