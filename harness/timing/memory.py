"""Memory: what a call adds at its peak, what there is, and how to fail early instead of being killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


def peak_bytes(run: Callable[[], Any], device: str) -> int:
    """Peak of live tensor bytes that `run` adds on top of what lives already (parameters, optimizer state, batch).

    On a CPU from the allocator's own events (torch.profiler), not from a warm process's resident set.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    from torch.profiler import ProfilerActivity, profile

    with _quiet_standard_error(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory: list[Any] = [event for event in events if event.name() == "[memory]"]
    changes = sorted((event.start_ns(), event.nbytes()) for event in memory)
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


@contextmanager
def _quiet_standard_error() -> Iterator[None]:
    """The profiler's C++ side writes notes to standard error that no Python setting silences."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def available_bytes(device: str = "cpu") -> int:
    """What can still be allocated: free GPU memory, or the system's available memory within the control group."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    limit, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        found.append(max(0, int(limit) - int(used)))
    return min(found)


def limit_memory(more_bytes: int) -> None:
    """Let this process take `more_bytes` beyond what it has; then an allocation raises and nothing is killed.

    Where the system does not tell (not Linux), nothing is limited.
    """
    pages = _text("/proc/self/statm").split()
    if not pages:
        return
    import resource

    wanted = int(pages[0]) * resource.getpagesize() + more_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
