"""How a kernel is named in a record: `package version/path`."""

from __future__ import annotations

import torch

TORCH_VERSION = torch.__version__.partition("+")[0]


def torch_kernel(path: str) -> str:
    """The name of a path that is made of torch operations only.

    >>> torch_kernel("gated quadratic")  # doctest: +SKIP
    'torch 2.13.0/gated quadratic'
    """
    return f"torch {TORCH_VERSION}/{path}"
