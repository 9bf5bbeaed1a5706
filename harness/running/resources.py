"""What a process has taken of memory, and how many processors there are."""

from __future__ import annotations

import os
from pathlib import Path


def peak_resident_bytes(pid: int | str) -> int:
    """The most memory that a process has had resident at once, as Linux counts it; 0 where the system does not tell.

    Address space (RLIMIT_AS) would be no measure: torch and CUDA reserve many times what they touch.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmHWM:", "VmRSS:"))), default=0)


def usable_processors() -> int:
    """How many processors this process may use; where the system does not tell (macOS), how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
