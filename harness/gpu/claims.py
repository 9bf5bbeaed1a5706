"""Claims with a known answer that take a GPU: what is published, and how long checking it here will take.

A module that has such claims appends them to CLAIMS and is named in `harness.gpu.catalogue.CLAIMED_BY`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .bench import Bench
from .pieces import Rows


@dataclass(frozen=True, kw_only=True)
class GpuClaim:
    """A published number and what reproduces it.

    name: kebab-case. published: the number, in words. source: repository and file, or paper and table, with how it was
    read. setting: as published, or reduced and what was. minutes: estimated, on a GPU. command: what a user types.
    run: does it as one piece; None where it takes longer than a piece may, and is only listed.
    """

    name: str
    title: str
    published: str
    source: str
    setting: str
    minutes: float
    command: str
    run: Callable[[Bench], Rows] | None = None


CLAIMS: list[GpuClaim] = []
