"""Names for the signatures of modules that are imported wherever there is a list: torch itself stays out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator

    from .mixer import Mixer
else:
    Generator = Mixer = Any

__all__ = ["Generator", "Mixer"]
