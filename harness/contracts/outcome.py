"""What can become of a run. One list for the record, the store, every table and every export."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The status of a record; its text is what the record, the tables and the exports hold.

    done: it ran to its end. diverged: training left the numbers. unsupported: it cannot run here. out-of-memory and
    failed: it might end otherwise next time.
    """

    DONE = "done"
    DIVERGED = "diverged"
    UNSUPPORTED = "unsupported"
    OUT_OF_MEMORY = "out-of-memory"
    FAILED = "failed"


FINISHED = (Status.DONE, Status.DIVERGED)
"""A resumed study does not repeat these; the others may end differently next time."""

BROKEN = (Status.FAILED, Status.OUT_OF_MEMORY)
"""A command in which a run ended so exits with 1."""
