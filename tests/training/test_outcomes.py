"""Whatever a plug-in does to a run is an outcome with a reason in its row, beside a neighbour that finishes."""

import pytest

import harness
from harness.registry import architectures, load_plugin, scans, tasks
from harness.registry.plugin_checks import check_entry
from harness.training.execute import execute

PLUGIN = '''
import numpy as np
import torch

from harness.contracts import Batch, Samples, Scan, Task
from harness.contracts.mixer import Mixer
from harness.registry import architectures, scans, tasks


@architectures.register("unlucky", version=1)
def unlucky(*, kind: str = "fine", width):
    """Does in a run what a test asks for."""
    if kind == "factory":
        raise KeyError("no such thing")

    class Unlucky(Mixer):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(width))

        def forward(self, x, mask=None, cells=None):
            if kind == "allocation":
                torch.empty(10**15)
            if kind == "native":
                raise RuntimeError("std::bad_alloc")
            if kind == "accelerator":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            if kind == "infinite":
                return x * self.scale * float("inf")
            if kind == "gradient":
                return x + (self.scale - 1).abs().sqrt().sum()  # finite, with a derivative that is not
            if kind == "lines":
                raise RuntimeError("first line\\nsecond line")
            return x * self.scale

    return Unlucky()


@scans.register("forgetful", version=1)
def forgetful():
    """Visits the first cell twice and the last one never."""
    return Scan(orders=(lambda height, width: np.maximum(np.arange(height * width) - 1, 0),))


class Dots(Samples):
    def __init__(self, count, kind):
        self.target, self.kind = np.arange(count) % 2, kind

    def batch(self, indices):
        tokens = np.ones((len(indices), 4, 3), dtype=np.float32)
        return Batch(tokens=tokens * (np.nan if self.kind == "nan" else 1), target=self.target[indices])


@tasks.register("unlucky-task", version=1)
def unlucky_task(*, kind: str = "fine"):
    """Four dots, or worse."""

    class UnluckyTask(Task):
        grid, features, classes, chance = (2, 2), 3, 2, 0.5

        def sample(self, split, count, seed):
            if kind == "raise":
                raise FileNotFoundError("no dots here")
            return Dots(count, kind)

    return UnluckyTask()
'''


@pytest.fixture
def unlucky(tmp_path):
    """Registers the plug-in's entries for one test."""
    (tmp_path / "unlucky_plugin.py").write_text(PLUGIN)
    load_plugin(str(tmp_path / "unlucky_plugin.py"))
    yield
    for registry, name in ((architectures, "unlucky"), (scans, "forgetful"), (tasks, "unlucky-task")):
        registry._entries.pop(name, None)


def run_beside(tmp_path, protocol, **axes):
    request = {"task": "locality2d:height=4,width=4", "architecture": "mean-pool", "scan": "horizontal"} | axes
    place = {"device": "cpu", "store": tmp_path / "r.sqlite", "workers": 0, "timing": False}
    return harness.run(protocol=protocol, seeds=1, **request, **place)


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("allocation", "out-of-memory", "allocate"),
        ("native", "out-of-memory", "bad_alloc"),
        ("accelerator", "out-of-memory", "Tried to allocate 20.00 GiB"),
        ("infinite", "diverged", "at step"),
        ("gradient", "diverged", "at step"),
        ("factory", "failed", "KeyError: 'no such thing'"),
        ("lines", "failed", "RuntimeError: first line"),
    ],
)
def test_an_architecture_that_goes_wrong_is_an_outcome(tmp_path, tiny_protocol, unlucky, kind, status, reason):
    frame = run_beside(tmp_path, tiny_protocol, architecture=[f"unlucky:kind={kind}", "mean-pool"])
    assert frame["status"].tolist() == [status, "done"]
    assert reason in frame["reason"][0] and "\n" not in frame["reason"][0]
    assert frame["test_accuracy"].isna().tolist() == [True, False]


def test_a_scan_that_is_no_permutation_fails_with_its_name(tmp_path, tiny_protocol, unlucky):
    frame = run_beside(tmp_path, tiny_protocol, scan=["forgetful", "horizontal"])
    assert frame["status"].tolist() == ["failed", "done"]
    assert "forgetful" in frame["reason"][0] and "once" in frame["reason"][0]


@pytest.mark.parametrize(
    ("kind", "status", "reason"), [("raise", "failed", "FileNotFoundError: no dots here"), ("nan", "diverged", "step")]
)
def test_a_task_that_goes_wrong_is_an_outcome(tmp_path, tiny_protocol, unlucky, kind, status, reason):
    frame = run_beside(tmp_path, tiny_protocol, task=f"unlucky-task:kind={kind}")
    assert frame["status"].tolist() == [status] and reason in frame["reason"][0]


def test_what_failed_or_ran_out_of_memory_is_tried_again_and_what_diverged_is_not(tmp_path, tiny_protocol, unlucky):
    kinds = [f"unlucky:kind={kind}" for kind in ("lines", "accelerator", "infinite")]
    first = run_beside(tmp_path, tiny_protocol, architecture=kinds)
    seen = []
    original = execute

    def watched(run, *rest, **more):
        seen.append(run.cell.architecture)
        return original(run, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.execute.execute", watched)
        again = run_beside(tmp_path, tiny_protocol, architecture=kinds)
    assert again["status"].tolist() == first["status"].tolist() == ["failed", "out-of-memory", "diverged"]
    assert sorted(seen) == sorted(kinds[:2])


def test_check_says_of_such_a_plug_in_what_is_wrong(unlucky):
    problems = [finding.problem for finding in check_entry(scans.get("forgetful")) if finding.problem]
    assert len(problems) == 1 and "every route must visit each cell" in problems[0]
