"""A first output of every architecture, kept: behaviour does not change without a new version.

`python tests/architectures/test_architecture_golden.py` writes the file anew.
"""

import contextlib
import json
from pathlib import Path

import pytest
import torch

from harness.contracts.errors import Unsupported
from harness.registry import architectures

GOLDEN = Path(__file__).with_name("golden.json")


def first_output(name):
    """Eight values, rounded: the last bits differ between machines."""
    entry, values = architectures.parse(name)
    generator = torch.Generator().manual_seed(0)
    mixer = entry.create(values, width=8, length=6, grid=(2, 3), generator=generator).double()
    x = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        y = mixer(x, None, torch.stack([torch.arange(6) // 3, torch.arange(6) % 3], dim=-1)[None])
    return {"version": entry.version, "last_step": [float(f"{value:.6g}") for value in y[0, -1]]}


@pytest.mark.parametrize("name", architectures.names())
def test_behaviour_does_not_change_without_a_new_version(name):
    kept, now = json.loads(GOLDEN.read_text()), first_output(name)
    assert name in kept, f"{name} has no golden output; run {Path(__file__).name} as a script"
    assert now["version"] == kept[name]["version"], f"{name} has a new version; run {Path(__file__).name} as a script"
    assert now["last_step"] == pytest.approx(kept[name]["last_step"], rel=1e-4, abs=1e-7), (
        f"{name} gives another output than version {now['version']} did: raise its version and run"
        f" {Path(__file__).name} as a script, or undo the change"
    )


def write():
    """Outputs of what cannot run here stay as they are."""
    outputs = json.loads(GOLDEN.read_text())
    for name in architectures.names():
        with contextlib.suppress(Unsupported):
            outputs[name] = first_output(name)
    outputs = {name: outputs[name] for name in architectures.names() if name in outputs}
    GOLDEN.write_text(json.dumps(outputs, indent=1) + "\n")


if __name__ == "__main__":
    write()
