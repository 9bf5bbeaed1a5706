"""Data sets on disk: what is missing or broken is said in one line, and a file is read once a process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np

from harness.contracts.errors import UserError

Stamp: TypeAlias = tuple[str, int, int]
"""A file's path, time of change and size: the key under which what was read from it is kept."""


def given_folder(root: str, *, subject: str, fetch: str) -> Path:
    """The folder that the parameter `root` names.

    Args:
        fetch: what to get, where from, and where to put it.

    Raises:
        UserError: none given, or none there.
    """
    if not root:
        name = subject.removeprefix("task ")
        raise UserError(f"{subject}: root must be given, got none; {fetch}, and say {name}:root=FOLDER")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f"{subject}: root must be a folder, got {root!r}, which is none; {fetch}")
    return folder


def existing(folder: Path, names: Sequence[str], *, subject: str, fetch: str) -> Path:
    """The first of `names` that is in the folder.

    Raises:
        UserError: none of them is.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise UserError(f"{subject}: root must hold {' or '.join(names)}, got {folder} without; {fetch}")


@contextmanager
def reading(path: Path, *, subject: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one line that names it.

    Raises:
        UserError: the file is not what its name says.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # parsers of broken files raise anything
        what = str(error).partition("\n")[0] or "no more"
        raise UserError(
            f"{subject}: {path} must be a whole file of its format, got {type(error).__name__}: {what};"
            " it is corrupt or cut short, fetch it again"
        ) from error


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


def order_by_name(names: Sequence[str]) -> np.ndarray:
    """An order [names] that looks random and depends on each name alone, never on how a folder lists them."""
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=lambda index: (digests[index], names[index])), dtype=np.int64)
