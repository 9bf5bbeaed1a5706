"""Someone's own protocols, from a file given with --plugin: another optimizer and loss, and one from scratch."""

import json

import pytest
import torch
from torch.nn import functional

import harness
from harness.__main__ import main
from harness.registry import load_plugin, protocols
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.running.cost_estimate import Cost, costs_of
from harness.timing.measure import timing_session
from harness.training.build import check_cell
from harness.training.execute import execute
from harness.training.execute_together import execute_together

PLUGIN = '''
from dataclasses import dataclass
from typing import Annotated

from harness.contracts.protocol import Protocol
from harness.registry import Range, protocols
from harness.training.protocols.standard import Standard


@protocols.register("lion", version=1)
@dataclass(frozen=True, kw_only=True)
class LionProtocol(Standard):
    """The standard protocol with Lion and label smoothing.

    Source: Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2.
    """

    learning_rate: Annotated[float, Range(1e-7, 1.0)] = 0.0005
    smoothing: Annotated[float, Range(0.0, 0.9)] = 0.1

    elementwise_optimizer = True

    def make_optimizer(self, model):
        import torch

        class Lion(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self):
                for group in self.param_groups:
                    for parameter in group["params"]:
                        if parameter.grad is None:
                            continue
                        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                        update = momentum.lerp(parameter.grad, 0.1).sign_()
                        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update * group["lr"])
                        momentum.lerp_(parameter.grad, 0.01)

        return Lion(self.weight_decay_groups(model), {"lr": self.learning_rate, "weight_decay": 0.0})

    def loss(self, scores, target):
        from torch.nn import functional

        return functional.cross_entropy(scores, target, label_smoothing=self.smoothing)


@protocols.register("silent", version=1)
@dataclass(frozen=True, kw_only=True)
class SilentProtocol(Standard):
    """The standard protocol with an optimizer that does not say whether it is elementwise."""

    def make_optimizer(self, model):
        import torch

        return torch.optim.SGD(model.parameters(), lr=self.learning_rate)


@protocols.register("centroids", version=1)
@dataclass(frozen=True, kw_only=True)
class Centroids(Protocol):
    """Nothing is trained: the nearest class mean of what an untrained mixer makes of a sequence."""

    learning_rate: Annotated[float, Range(0.0, 1.0)] = 0.0
    samples: Annotated[int, Range(2, 100_000)] = 64

    def build(self, cell, task, *, seed):
        from harness.model.backbone import routed_mixer
        from harness.training.build import mixing

        routing, make_mixer = mixing(cell, task, "centroids", width=task.features, seed=seed)
        return routed_mixer(0, make_mixer, routing, task.features)

    def train(self, run, task, report):
        import torch

        from harness.training.data import Data

        model = self.build(run.cell, task, seed=run.seed)
        data = Data(task, spec=run.cell.task, seed=run.seed)
        read = {}
        for split in ("train", "validation", "test"):
            tokens, target, mask = next(iter(data.evaluation(split, self.samples, batch_size=self.samples)))
            with torch.no_grad():
                read[split] = model(tokens, mask).mean(1), target
        points, target = read.pop("train")
        means = torch.stack([points[target == label].mean(0) for label in range(task.classes)])
        right = {split: torch.cdist(x, means).argmin(1) == target for split, (x, target) in read.items()}
        return {f"{split}_accuracy": float(hits.float().mean()) for split, hits in right.items()}
'''
TASK = "locality2d:height=4,width=4"
SMALL = "steps=8,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=4,width=8"


@pytest.fixture
def plugin(tmp_path):
    """The plug-in's file; its entries are there for one test."""
    path = tmp_path / "protocols.py"
    path.write_text(PLUGIN)
    load_plugin(str(path))
    yield str(path)
    for name in ("lion", "silent", "centroids"):
        protocols._entries.pop(name, None)


def runs_of(protocol, seeds=(0,), architecture="mean-pool"):
    cell = cell_from(TASK, architecture, "hilbert", protocol)
    return [Run(cell=cell, seed=seed) for seed in seeds]


def test_from_the_command_line_to_a_table_and_a_record(tmp_path, plugin, capsys):
    store = tmp_path / "r.sqlite"
    words = ["run", "--task", TASK, "--arch", "mean-pool", "--scan", "hilbert", "--seeds", "1", "--workers", "0"]
    words += ["--protocol", f"lion:smoothing=0.2,{SMALL}", "--plugin", plugin, "--store", str(store), "--tune"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "lion" in table and "mean-pool" in table
    (record,) = harness.load(store).to_dict("records")
    assert record["status"] == "done" and record["train_tokens_per_second"] > 0
    assert record["protocol"].startswith("lion:") and "smoothing=0.2" in record["protocol"]
    tuned = harness.load(store, tuning=True)
    rates = sorted(set(tuned.loc[tuned["purpose"] == "tuning", "learning_rate"]))
    assert rates == pytest.approx([0.000167, 0.0005, 0.00167]) and record["learning_rate"] in rates


def test_workers_import_it_too(tmp_path, plugin):
    request = {"task": TASK, "architecture": "mean-pool", "scan": "hilbert", "protocol": [f"lion:{SMALL}", "centroids"]}
    frame = harness.run(
        **request, seeds=1, store=tmp_path / "r.sqlite", workers=1, device="cpu", plugins=[plugin], timing=False
    )
    assert frame["status"].tolist() == ["done", "done"]


def test_the_exchanged_parts_are_what_trains(plugin):
    (run,) = runs_of(f"lion:weight_decay=0.0,smoothing=0.5,{SMALL}")
    (same,) = runs_of(f"standard:{SMALL}")
    assert protocol_of(run.cell).shape == protocol_of(same.cell).shape  # so both start from one initialization
    task, protocol = task_of(run.cell), protocol_of(run.cell)
    before, model = (protocol.build(run.cell, task, seed=0) for _ in range(2))
    timed = protocol.timed_step(run, task)
    model, (tokens, target, mask) = timed.model, timed.batch
    with torch.no_grad():
        expected = functional.cross_entropy(model(tokens, mask), target, label_smoothing=0.5)
    assert float(timed.step()) == pytest.approx(float(expected))
    moved = [(a - b).abs() for a, b in zip(before.parameters(), model.parameters(), strict=True)]
    for step in moved:  # Lion's first step: the learning rate everywhere, whatever the gradient
        torch.testing.assert_close(step[step > 0], torch.full_like(step[step > 0], 0.0005), rtol=1e-3, atol=0)
    assert sum(int((step > 0).sum()) for step in moved) > 100


def test_an_elementwise_optimizer_trains_seeds_together_and_another_one_by_one(plugin):
    runs = runs_of(f"lion:{SMALL}", seeds=(0, 1))
    for run, record in zip(runs, execute_together(runs), strict=True):
        assert (record["status"], record["replicas"], record["training_note"]) == ("done", 2, None)
        assert record["test_loss"] == pytest.approx(execute(run)["test_loss"], abs=1e-3)
    for name, words in (("silent", "is elementwise"), ("centroids", "one run at a time")):
        runs = runs_of("centroids" if name == "centroids" else f"{name}:{SMALL}", seeds=(0, 1))
        for run, record in zip(runs, execute_together(runs), strict=True):
            assert record["replicas"] == 1 and words in record["training_note"]
            assert record["test_accuracy"] == execute(run)["test_accuracy"]


def test_one_from_scratch_has_a_record_an_estimate_and_no_speed(plugin, capsys):
    (run,) = runs_of("centroids:samples=512", architecture="gated-ssm")
    check_cell(run.cell)
    record = execute(run)
    assert record["status"] == "done", record["reason"]
    json.dumps(record)
    cost = costs_of([run.cell], device="cpu", dtype="float32")[run.cell]
    assert isinstance(cost, Cost) and cost.seconds > 0 and cost.peak_bytes is None
    assert timing_session([run.cell], rounds=2) == []
    assert main(["show", "centroids"]) == 0
    assert "Nothing is trained" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", [f"standard:{SMALL}", f"lion:{SMALL}", "paper:steps=30,samples=20"])
def test_an_estimate_says_what_a_run_takes(plugin, protocol):
    (run,) = runs_of(protocol)
    cost = costs_of([run.cell], device="cpu", dtype="float32")[run.cell]
    assert isinstance(cost, Cost), cost
    assert cost.seconds > 0 and (cost.peak_bytes is None) == protocol.startswith("paper")
