"""What it takes to read a set of slides: a pass over all of it in a process of its own, its memory watched.

`python -m harness.timing.reading SPEC KEPT_MIB` prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def reading_facts(task: str, kept_mebibytes: int) -> dict[str, Any]:
    """A pass over every slide of a `wsi` task, read in a fresh process.

    Returns:
        slides, tiles, file_bytes; seconds; kept_bytes: features that may be kept; a_slide_bytes: features of the
        largest slide; first_bytes, peak_bytes: resident, after the first tenth of the slides and at most.

    Raises:
        RuntimeError: the process failed.
    """
    words = [sys.executable, "-m", "harness.timing.reading", task, str(kept_mebibytes)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    return json.loads(done.stdout)


def _read(spec: str, kept_bytes: int) -> dict[str, Any]:
    from harness.registry.cells import parse_task

    task: Any = parse_task(spec)
    task.reader.kept_bytes = kept_bytes
    bags = task.collection.bags
    started, first = time.perf_counter(), 0
    for number, bag in enumerate(bags):
        task.reader.read(bag)
        if number == len(bags) // 10:
            first = _peak()
    return {
        "slides": len(bags),
        "tiles": int(task.collection.tiles.sum()),
        "file_bytes": sum(Path(bag.path).stat().st_size for bag in bags),
        "seconds": time.perf_counter() - started,
        "kept_bytes": kept_bytes,
        "a_slide_bytes": int(np.max(task.collection.tiles)) * task.features * 4,
        "first_bytes": first,
        "peak_bytes": _peak(),
    }


def _peak() -> int:
    """The most that was resident so far; Linux counts in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(_read(sys.argv[1], int(sys.argv[2]) * 2**20)))
