from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.contracts.errors import Diverged
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.execute import execute
from harness.training.execute_together import execute_together


def train_together(runs, task, protocol):
    return protocol.train_together(runs, task, [lambda *_: None] * len(runs))[0]


TASK = "majority:length=10,relevant=0.5,confusing=0.2,dim=8"
FROZEN = "gated-ssm:train_projections=false"


def runs_of(architecture, protocol, count=3, scan="random"):
    cell = cell_from(TASK, architecture, scan, f"paper:test_samples=300,validation_samples=64,{protocol}")
    runs = [Run(cell=cell, seed=seed) for seed in range(count)]
    return runs, task_of(cell), protocol_of(cell)


@pytest.mark.parametrize(
    ("architecture", "protocol"),
    [
        (FROZEN, "samples=100,steps=40,learning_rate=2"),
        (FROZEN + ",projection=gaussian", "samples=50,steps=40,learning_rate=2,mixer_step=0.1,schedule=loss"),
        (FROZEN, "samples=20,population=true,steps=40,learning_rate=2"),
        ("ungated-ssm:train_projections=false", "samples=100,steps=40,learning_rate=2"),
    ],
)
def test_trials_together_come_to_what_each_comes_to_alone(architecture, protocol):
    runs, task, settings = runs_of(architecture, protocol)
    for run, outcome in zip(runs, train_together(runs, task, settings), strict=True):
        alone = execute(run)
        assert alone["status"] == "done"
        assert outcome["curve"].keys() == alone["curve"].keys()
        for name in ("steps_to_convergence", "steps_to_threshold", "steps", "parameters", "step_budget"):
            assert outcome[name] == alone[name], name
        for name in outcome["curve"]:
            if name != "train_loss":  # its first value is no number
                np.testing.assert_allclose(outcome["curve"][name], alone["curve"][name], atol=5e-3, err_msg=name)
        assert outcome["test_loss"] == pytest.approx(alone["test_loss"], abs=1e-3)


def test_trials_end_each_at_its_own_step():
    runs, task, settings = runs_of(FROZEN, "samples=200,steps=400,learning_rate=2,evaluate_every=1", count=4)
    outcomes = train_together(runs, task, settings)
    ends = [outcome["steps_to_convergence"] for outcome in outcomes]
    alone = [execute(run)["steps_to_convergence"] for run in runs]
    assert all(end is not None for end in ends) and len(set(ends)) > 1
    assert np.abs(np.subtract(ends, alone)).max() <= 1


def test_a_trial_that_diverges_is_its_own_loss_only(monkeypatch):
    runs, task, settings = runs_of(FROZEN, "samples=20,steps=20")
    from harness.training.paper import train

    class Spoiled(train.Trial):
        def __init__(self, run, *rest):
            super().__init__(run, *rest)
            if run.seed == 1:
                self.model.hidden.data.fill_(torch.nan)

    monkeypatch.setattr(train, "Trial", Spoiled)
    outcomes = train_together(runs, task, settings)
    assert isinstance(outcomes[1], Diverged)
    assert outcomes[0]["steps"] == outcomes[2]["steps"] == 20


def test_a_mixer_without_the_fused_gradient_is_refused():
    runs, task, settings = runs_of("local-attention", "samples=20,steps=5")
    with pytest.raises(TypeError, match="training changes"):
        train_together([replace(run) for run in runs], task, settings)


def test_records_of_trials_trained_together_say_so():
    runs, _, _ = runs_of(FROZEN, "samples=50,steps=20")
    records = execute_together(runs)
    assert [record["seed"] for record in records] == [0, 1, 2]
    assert {(record["status"], record["replicas"]) for record in records} == {("done", 3)}
    assert {record["kernel"] for record in records} == {"torch gated gradient/cpu"}  # not the fused one of a run alone
    alone, _, _ = runs_of("local-attention", "samples=50,steps=5")
    notes = [record["training_note"] for record in execute_together(alone)]
    assert all("not together" in note and "training changes" in note for note in notes)
