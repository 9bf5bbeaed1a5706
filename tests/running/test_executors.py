"""Executors: the same records whichever and however many workers; a run that goes over a limit costs itself only."""

import os

import pytest

from harness.contracts.errors import UserError
from harness.registry import architectures, load_plugin
from harness.registry.cells import Run, cell_from
from harness.running.execution import Execution, execution_from
from harness.running.executors import InProcess, Pool
from harness.running.resources import peak_resident_bytes, usable_processors
from harness.running.worker_process import Worker

TASK = "locality2d:height=4,width=4"
ITS_OWN = ("started_at", "run_seconds")
"""What two records of one run may differ in."""

GREEDY = """
import time
from harness.contracts.mixer import Mixer
from harness.registry import architectures

@architectures.register("greedy", version=1)
def greedy(*, takes: str = "nothing", width, generator):
    '''Takes what a test asks for.'''
    import torch

    class Greedy(Mixer):
        def forward(self, x, mask=None, cells=None):
            if takes == "time":
                time.sleep(120)
            if takes == "memory":
                self.kept = torch.ones(2**28)  # 1 GiB, every page touched
                time.sleep(120)
            return x

    return Greedy()
"""


def runs_of(names, protocol, seeds=(0,)):
    return [Run(cell=cell_from(TASK, name, "hilbert", protocol), seed=seed) for name in names for seed in seeds]


def records_by_key(executor, runs):
    records = list(executor.map(runs, lambda *_: None))
    assert sorted(record["key"] for record in records) == sorted(run.key for run in runs)
    return {record["key"]: {k: v for k, v in record.items() if k not in ITS_OWN} for record in records}


@pytest.fixture
def greedy(tmp_path):
    path = tmp_path / "greedy_plugin.py"
    path.write_text(GREEDY)
    load_plugin(str(path))
    yield str(path)
    architectures._entries.pop("greedy", None)


def test_records_are_the_same_bit_for_bit_whichever_the_executor_and_however_many_workers(tiny_protocol):
    runs = runs_of(("gated-ssm", "mamba", "local-attention"), tiny_protocol, seeds=(0, 1))
    here = records_by_key(InProcess(), runs)
    assert {record["status"] for record in here.values()} == {"done"}
    for executor in (Pool(1), Pool(2, execution=Execution(time_limit=600, memory_limit=64))):
        assert records_by_key(executor, runs) == here


def test_a_run_that_goes_over_a_limit_is_stopped_and_costs_no_other(tiny_protocol, greedy):
    names = ("greedy:takes=memory", "greedy:takes=time", "greedy", "mean-pool")
    runs = runs_of(names, tiny_protocol)
    pool = Pool(1, [greedy], execution=Execution(time_limit=10, memory_limit=1.25))
    found = {record["key"]: record for record in pool.map(runs, lambda *_: None)}
    records = [found[run.key] for run in runs]
    assert [record["status"] for record in records] == ["out-of-memory", "failed", "done", "done"]
    assert records[0]["reason"] == "went over its memory limit of 1.25 GiB and was stopped"
    assert records[1]["reason"] == "went over its time limit of 10 s and was stopped"
    assert records[1]["run_seconds"] > 10


def test_what_earlier_runs_left_in_a_process_is_not_held_against_a_run(tiny_protocol, monkeypatch):
    monkeypatch.setattr(Execution, "over_memory", lambda limits, pid: pid in used)
    runs, used, began = runs_of(("mean-pool",), tiny_protocol, seeds=(0, 1)), set(), []
    monkeypatch.setattr("harness.running.executors.Worker", lambda plugins: began.append(Worker(plugins)) or began[-1])
    records = []
    for record in Pool(1, execution=Execution(memory_limit=64)).map(runs, lambda *_: None):
        used.add(began[0].process.pid)
        records.append(record)
    assert [record["status"] for record in records] == ["done"] * 2
    assert len(began) == 2


def test_seeds_that_train_together_may_take_as_long_as_one_after_another():
    limits = Execution(time_limit=10)
    assert not limits.over_time(29, runs=3)
    assert limits.over_time(31, runs=3)


def test_processors_are_counted_where_the_system_does_not_tell_which_are_this_process_s(monkeypatch):
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    assert usable_processors() == os.cpu_count()
    assert Execution().workers_on("cpu") == os.cpu_count() and Execution(workers=3).workers_on("cpu") == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1


def test_peak_memory_is_seen_after_it_was_given_back():
    before = peak_resident_bytes("self")
    kept = bytearray(b"x") * (before + 2**26)
    del kept
    assert peak_resident_bytes("self") > before
    assert peak_resident_bytes(0) == 0  # no such process


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"time_limit": 0}, "executor.time_limit: input should be greater than 0, got 0"),
        ({"memory_limit": float("inf")}, "executor.memory_limit: input should be a finite number, got inf"),
        ({"workers": 0, "time_limit": 60.0}, "a limit needs worker processes"),
        ({"kind": "in-process", "memory_limit": 1.0}, "a limit needs worker processes"),
        ({"gpus": 1.0}, "gpus can be had with kind 'ray' only"),
        ({"kind": "ray", "address": "ray://there:1"}, "executor.address: string should match pattern"),
        ({"kind": "ray", "cpus": -1.0}, "executor.cpus: input should be greater than 0, got -1"),
        ({"kind": "cloud"}, "executor.kind: input should be 'pool', 'in-process' or 'ray', got 'cloud'"),
        ({"colour": "red"}, "executor.colour: extra inputs are not permitted, got 'red'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_asked_of_an_executor_is_one_line(asked, words):
    with pytest.raises(UserError) as caught:
        execution_from(asked)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_asked_for_takes_the_place_of_what_the_file_says():
    file = Execution(kind="ray", address="auto", workers=4, time_limit=60)
    assert execution_from({"workers": None}, file) == file
    assert execution_from({"workers": 2}, file).workers == 2
    assert execution_from({"kind": "pool"}, file) == Execution(kind="pool", workers=4, time_limit=60)
    assert execution_from({"workers": 0}, Execution(workers=3)).kind == "in-process"
    assert execution_from({"workers": 3}, Execution(kind="in-process")) == Execution(kind="pool", workers=3)
