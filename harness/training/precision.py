"""The number formats of a run: float32, tf32 and bfloat16, recorded with every run and every speed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from harness.contracts.errors import Unsupported


@contextlib.contextmanager
def precision(dtype: str, device: str) -> Iterator[None]:
    """Compute in a number format within the block; parameters and optimizer stay float32.

    float32: matrix products in full float32, on a GPU too. tf32: CUDA's matrix products, convolutions and recurrences
    round their inputs to 10 bits of mantissa. bfloat16: torch.autocast, so products run in bfloat16, and norms, softmax
    and loss in float32.

    Raises:
        Unsupported: tf32 on a CPU, which has no such products.
    """
    if dtype == "tf32" and device != "cuda":
        raise Unsupported("tf32 is a format of CUDA's matrix units", "take --dtype float32 or bfloat16, or a CUDA GPU")
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    # cuDNN's recurrences and convolutions follow a switch of their own, which is on by default.
    torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    # Without its cache: kept over a whole training, that would compute with the casts of the first weights to the end.
    bfloat16 = torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)
    cast = bfloat16 if dtype == "bfloat16" else contextlib.nullcontext()
    try:
        with cast:
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
