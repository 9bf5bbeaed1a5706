"""What one run may take of time and memory, and what a process has taken of memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may take; None is no limit.

    time_limit: seconds, from when its worker has loaded what runs need. memory_limit: GiB of resident memory at the
    peak, Python and torch included. Runs that are trained together are one process: it may take as long as they might
    one after another, and as much memory as one.
    """

    time_limit: float | None = None
    memory_limit: float | None = None

    def over_time(self, seconds: float, *, runs: int = 1) -> bool:
        return self.time_limit is not None and seconds > self.time_limit * runs

    def over_memory(self, pid: int) -> bool:
        return self.memory_limit is not None and peak_resident_bytes(pid) > self.memory_limit * GIB


NO_LIMITS = Limits()


def peak_resident_bytes(pid: int | str) -> int:
    """The most memory that a process has had resident at once, as Linux counts it; 0 where the system does not tell.

    Address space (RLIMIT_AS) would be no measure: torch and CUDA reserve many times what they touch.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmHWM:", "VmRSS:"))), default=0)
