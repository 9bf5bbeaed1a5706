"""Runs done twice where a device does not give the same bits."""

import pytest

from harness.analysis import reproducibility as noise
from harness.analysis.reproducibility import noise_floor, noise_text, to_repeat
from harness.registry.cells import Run, cell_from
from harness.registry.study import Study
from harness.reports.outcomes import outcome_texts
from harness.running.executors import InProcess
from harness.running.progress import Progress
from harness.running.runner import Runner
from harness.store.store import Store
from harness.training.execute import execute

TINY = "standard:steps=3,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=3,width=8"


@pytest.fixture
def cell():
    return cell_from("locality2d:height=4,width=4", "mean-pool", "horizontal", TINY)


@pytest.fixture
def counted(monkeypatch):
    """An executor that says what it was given."""
    done = []

    class Counted(InProcess):
        def map(self, runs, watch):
            done.extend(run.key for run in runs)
            yield from super().map(runs, watch)

    return Counted(), done


def study_of(cell, store, executor):
    with Store(store) as records:
        runner = Runner(store=records, executor=executor, progress=Progress(quiet=True))
        runner.study(Study(cells=[cell], seeds=[0, 1], timing=False))
        return runner.outcome


def test_a_cpu_repeats_nothing(tmp_path, cell, counted):
    executor, done = counted
    outcome = study_of(cell, tmp_path / "s.sqlite", executor)
    assert len(done) == 2 and not any(record.get("noise_floor") for record in outcome.records)
    assert noise_text(outcome.records) is None


def test_one_run_a_cell_is_done_twice_on_an_inexact_device_and_once_for_all(tmp_path, cell, counted, monkeypatch):
    monkeypatch.setattr(noise, "INEXACT", ("cpu",))
    executor, done = counted
    first = study_of(cell, tmp_path / "s.sqlite", executor)
    assert len(done) == 3 and done[2] == first.records[0]["key"]
    assert set(first.records[0]["noise_floor"].values()) == {0.0}  # this device is exact after all
    assert any("noise floor: one run done twice" in line for line in outcome_texts(first.records))
    again = study_of(cell, tmp_path / "s.sqlite", executor)
    assert len(done) == 3 and again.records[0]["noise_floor"] == first.records[0]["noise_floor"]


def test_differences_are_what_is_written(cell):
    run = Run(cell=cell, seed=0)
    record = execute(run)
    other = record | {"test_accuracy": record["test_accuracy"] + 0.25}
    assert noise_floor(record, other)["test_accuracy"] == pytest.approx(0.25)
    assert noise_floor(record, other | {"status": "failed"}) == {}
    told = [record | {"noise_floor": {"test_accuracy": value}} for value in (0.125, 0.25)]
    assert noise_text(told) == "2 runs done twice: test accuracy differs by at most 0.2500"


def test_what_did_not_finish_is_not_repeated(cell, monkeypatch):
    monkeypatch.setattr(noise, "INEXACT", ("cpu",))
    runs = [Run(cell=cell, seed=seed) for seed in (0, 1)]
    records = {run.key: {"status": status} for run, status in zip(runs, ("diverged", "done"), strict=True)}
    assert to_repeat(runs, records) == runs[1:]
