"""Whether a folder's file system locks files as SQLite needs it; network file systems often do not."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
from pathlib import Path

WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""C's struct flock on 64-bit Linux: a writer's lock from the first byte to the last."""


def missing_locks(folder: Path) -> str | None:
    """Why locks do not work there; None where they do, or where nothing can be written anyway.

    One file is opened twice, and the same lock is asked for both times: the second must be refused. That takes locks
    of an open file instead of a process, which Linux has; elsewhere only an outright error is seen.
    """
    try:
        first = tempfile.NamedTemporaryFile(dir=folder, prefix=".lock-probe-")  # noqa: SIM115
    except OSError:
        return None
    with first, open(first.name, "rb+") as second:
        try:
            if not hasattr(fcntl, "F_OFD_SETLK"):
                fcntl.lockf(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            fcntl.fcntl(first, fcntl.F_OFD_SETLK, WHOLE_FILE)
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
        try:
            fcntl.fcntl(second, fcntl.F_OFD_SETLK, WHOLE_FILE)
        except OSError:
            return None
        return "the same lock was given twice"
