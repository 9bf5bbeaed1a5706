"""The first batch of every task at its defaults must not change unless the version does.

Tasks that read a folder of the user's have no batch of their own; tests/tasks/test_published_formats.py compares theirs
with the images that were written.

`python tests/tasks/test_task_digests.py` writes golden.json anew.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from harness.registry import tasks

GOLDEN = Path(__file__).with_name("golden.json")
RECORDED = [entry for entry in tasks if "root" not in entry.parameters]


def digest(entry) -> str:
    batch = entry.create(entry.resolve({})).sample("train", 16, 0).batch(np.arange(16))
    # Whole multiples of 1e-5: the last bits of a float may differ between machines.
    tokens = np.round(batch.tokens.astype(np.float64) * 1e5).astype("<i8")
    return hashlib.sha256(tokens.tobytes() + batch.target.astype("<i8").tobytes()).hexdigest()


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: entry.name)
def test_the_first_batch_is_the_recorded_one(entry):
    golden = json.loads(GOLDEN.read_text())
    assert entry.name in golden, f"task {entry.name} has no recorded digest; run python {__file__}"
    recorded = golden[entry.name]
    assert recorded["version"] == entry.version, (
        f"task {entry.name} is at version {entry.version}, its digest at {recorded['version']}; run python {__file__}"
    )
    assert recorded["sha256"] == digest(entry), (
        f"the first batch of task {entry.name} changed; undo that, or raise its version and run python {__file__}"
    )


if __name__ == "__main__":
    golden = {entry.name: {"version": entry.version, "sha256": digest(entry)} for entry in RECORDED}
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")
