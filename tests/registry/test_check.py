"""`check`: a plug-in held to the contracts, as its author meets it."""

import subprocess
import sys

import pytest

from harness.__main__ import main
from harness.registry import protocols
from harness.registry.plugin_checks import check_entry

GOOD_AND_BAD = '''
import numpy as np
import torch
from harness.contracts import Batch, Samples, Scan, Task
from harness.contracts.mixer import Mixer
from harness.registry import architectures, scans, tasks


@scans.register("right-to-left", version=1)
def right_to_left():
    """Rows from right to left."""
    return Scan(orders=(lambda h, w: np.arange(h * w).reshape(h, w)[:, ::-1].ravel(),))


@scans.register("forgetful", version=1)
def forgetful():
    """Visits the first cell twice."""
    return Scan(orders=(lambda h, w: np.maximum(np.arange(h * w) - 1, 0),))


@architectures.register("leaky", version=1)
def leaky(*, width):
    """Says it is causal and is not; uses the global generator; padding leaks."""

    class Leaky(Mixer):
        causal = True

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.randn(width))

        def forward(self, x, mask=None, cells=None):
            return x * self.scale + x.mean(1, keepdim=True)

    return Leaky()


class Noise(Samples):
    def __init__(self, count):
        self.target = np.zeros(count, dtype=np.int64)

    def batch(self, indices):
        tokens = np.random.standard_normal((len(indices), 4, 3))
        return Batch(tokens=tokens, target=self.target[indices])


@tasks.register("restless", version=1)
def restless():
    """Draws anew at every look, and in float64."""

    class Restless(Task):
        grid, features, classes, chance = (2, 2), 3, 2, 0.5

        def sample(self, split, count, seed):
            return Noise(count)

    return Restless()
'''


def test_what_a_plug_in_breaks_is_said_with_what_to_do(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD_AND_BAD)
    command = [sys.executable, "-m", "harness", "check", "mine.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    told = result.stdout
    for words in (
        "scan right-to-left, version 1: Rows from right to left.\n  holds    every route",
        "every route must visit each cell of 8x8 once",
        "torch's global generator must be left alone",
        "causal=True, yet a change of later steps moves earlier outputs",
        "permutation_equivariant=False, yet the order of steps changes nothing",
        "right padding must not change a real step",
        "tokens must be float32 [12, 4, 3], got float64 [12, 4, 3]",
        "the same split and seed must give the same samples",
        "sample i must look the same in any batch",
    ):
        assert words in told, words
    assert "8 rules are broken" in result.stderr


@pytest.mark.parametrize("entry", list(protocols), ids=lambda entry: entry.name)
def test_the_protocols_keep_their_own_rule(entry):
    """Tasks, architectures and scans: each in the suite of its axis."""
    assert [finding for finding in check_entry(entry) if finding.problem or finding.skipped] == []


def test_a_plug_in_that_registers_nothing_is_a_mistake(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "empty.py"]) == 2
    assert "registers no task, architecture, scan or protocol" in capsys.readouterr().err
    assert main(["check", "nothing-of-the-kind"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
