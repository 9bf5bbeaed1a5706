"""All pieces, in the order in which they are run: what is cheap and decides most comes first."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence

from harness.contracts.errors import UserError, nearest

from .claims import CLAIMS
from .pieces import PIECES, Piece, add

MODULES = ("environment", "kernels", "agreement", "together", "repeating", "memory", "speeds")
"""Files of this folder that hold pieces."""

CLAIMED_BY = ("harness.commands._gpu_claims",)
"""Modules that append to CLAIMS when they are imported."""


@functools.cache
def all_pieces() -> tuple[Piece, ...]:
    """Import whatever holds pieces, and give them all."""
    for module in MODULES:
        importlib.import_module(f"harness.gpu.{module}")
    for module in CLAIMED_BY:
        importlib.import_module(module)
    for claim in CLAIMS:
        if claim.run is not None:
            name = f"claim-{claim.name}"
            modules = (claim.run.__module__,)
            add(Piece(name=name, title=claim.title, minutes=claim.minutes, run=claim.run, modules=modules))
    order = [f"harness.gpu.{module}" for module in MODULES]
    return tuple(sorted(PIECES.values(), key=lambda piece: [*order, piece.modules[0]].index(piece.modules[0])))


def find_piece(name: str) -> Piece:
    """The piece of that name.

    Raises:
        UserError: there is none.
    """
    return choose([name])[0]


def choose(names: Sequence[str]) -> list[Piece]:
    """The pieces of these names, or whose names begin with one that ends in `-`; all where no name is given.

    Raises:
        UserError: a name that fits none.
    """
    pieces = all_pieces()
    known = [piece.name for piece in pieces]
    for name in names:
        if not any(_fits(name, each) for each in known):
            raise UserError(f"--only names pieces of gpu-check list, got {name!r}; {nearest(name, known)}")
    return [piece for piece in pieces if not names or any(_fits(name, piece.name) for name in names)]


def _fits(asked: str, name: str) -> bool:
    return name.startswith(asked) if asked.endswith("-") else name == asked
