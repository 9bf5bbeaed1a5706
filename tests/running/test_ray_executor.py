"""Runs on a Ray cluster of several nodes on this machine: the same records, and nothing lost when a node is."""

import os
import socket
import sys
import time

import pytest

import harness
from harness.contracts.errors import UserError
from harness.registry import architectures, load_plugin
from harness.registry.cells import Run, cell_from
from harness.registry.study import Study
from harness.running.execution import Execution, execution_from, resolve_device
from harness.running.executors import InProcess
from harness.running.progress import Progress
from harness.running.runner import Runner, make_executor
from harness.store.store import Store

TASK = "locality2d:height=4,width=4"
ITS_OWN = ("started_at", "run_seconds")
BEGIN_SECONDS = 60

SLOW = """
import os, signal, time
from harness.contracts.mixer import Mixer
from harness.registry import architectures

PARENT = os.getppid()

@architectures.register("slow", version=1)
def slow(*, kills: bool = False, seconds: float = 0.1, width, generator):
    '''Takes its time, says on which node it is, and ends its Ray worker where that is asked for.'''
    with open({log!r}, "a") as log:
        log.write(f"{{os.environ.get('RAY_RAYLET_PID')}} {{generator.initial_seed()}}\\n")

    class Slow(Mixer):
        def forward(self, x, mask=None, cells=None):
            if kills and "RAY_RAYLET_PID" in os.environ:
                os.kill(PARENT, signal.SIGKILL)
                os._exit(1)
            time.sleep(seconds)
            return x

    return Slow()
"""


@pytest.fixture(scope="module")
def cluster():
    """A head without processors and two nodes with one each."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'scan-order-harness[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """The plug-in, and the log of its mixers: the node's process and a number that the run's seed decides."""
    folder = tmp_path_factory.mktemp("slow")
    path, log = folder / "slow_plugin.py", folder / "log.txt"
    path.write_text(SLOW.format(log=str(log)))
    load_plugin(str(path))
    yield str(path), log
    architectures._entries.pop("slow", None)


def executor_on(cluster, slow, **more):
    return make_executor(Execution(kind="ray", address=cluster.address, **more), "cpu", [slow[0]])


def runs_of(names, protocol, seeds=(0,)):
    return [Run(cell=cell_from(TASK, name, "hilbert", protocol), seed=seed) for name in names for seed in seeds]


def without_what_is_its_own(record):
    return {name: value for name, value in record.items() if name not in ITS_OWN}


@pytest.mark.slow
def test_records_are_those_of_this_process_bit_for_bit_and_progress_is_told(cluster, slow, tiny_protocol):
    runs, told = runs_of(("gated-ssm", "local-attention"), tiny_protocol, seeds=(0, 1)), []
    here = {record["key"]: record for record in InProcess().map(runs, lambda *_: None)}
    there = list(executor_on(cluster, slow).map(runs, lambda run, *_: told.append(run)))
    assert sorted(record["key"] for record in there) == sorted(here)
    for record in there:
        assert record["status"] == "done"
        assert without_what_is_its_own(record) == without_what_is_its_own(here[record["key"]])
    assert told and set(told) <= set(runs)


@pytest.mark.slow
def test_a_worker_that_is_lost_again_and_again_costs_its_own_run_only(cluster, tiny_protocol, slow):
    runs = runs_of(("slow:kills=true", "slow:seconds=0"), tiny_protocol)
    records = {record["key"]: record for record in executor_on(cluster, slow).map(runs, lambda *_: None)}
    first, second = (records[run.key] for run in runs)
    assert first["status"] == "failed"
    assert "its Ray worker or node was lost 3 times" in first["reason"] and "\n" not in first["reason"]
    assert second["status"] == "done"


@pytest.mark.slow
def test_a_limit_holds_on_a_cluster_too(cluster, tiny_protocol, slow):
    (record,) = executor_on(cluster, slow, time_limit=2.0).map(runs_of(("slow:seconds=60",), tiny_protocol), print)
    assert (record["status"], record["reason"]) == ("failed", "went over its time limit of 2 s and was stopped")


class Sabotage(Progress):
    """Kills a node while it is at a run, after the second record."""

    def __init__(self, cluster, log):
        super().__init__(quiet=True)
        self.cluster, self.log, self.killed = cluster, log, None

    def finished(self, record):
        super().finished(record)
        if self._finished == 2:
            before, deadline = begun(self.log), time.monotonic() + BEGIN_SECONDS
            while (now := begun(self.log)) == before and time.monotonic() < deadline:
                time.sleep(0.01)
            self.killed = now[-1][0]  # that node has just begun one
            (node,) = [node for node in self.cluster.worker_nodes if raylet_of(node) == self.killed]
            self.cluster.remove_node(node, allow_graceful=False)


def raylet_of(node):
    return str(node.all_processes["raylet"][0].process.pid)


def begun(log):
    """(node, number of the run) of each run that was begun on a node, in order."""
    pairs = [tuple(line.split()) for line in log.read_text().splitlines()]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] != "None"]


class CountingStore(Store):
    def __init__(self, path):
        super().__init__(path)
        self.written = []

    def write(self, record):
        super().write(record)
        self.written.append(record["key"])


@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_a_study_loses_nothing_and_doubles_nothing(
    cluster, tiny_protocol, slow, tmp_path
):
    log = slow[1]
    log.write_text("")
    study = Study(cells=[run.cell for run in runs_of(("slow",), tiny_protocol)], seeds=range(6), timing=False)
    sabotage = Sabotage(cluster, log)
    with CountingStore(tmp_path / "r.sqlite") as store:
        records = Runner(store=store, executor=executor_on(cluster, slow), progress=sabotage).study(study)
        assert [record["status"] for record in records] == ["done"] * 6
        assert sorted(store.written) == sorted(record["key"] for record in records)
    assert len(harness.load(tmp_path / "r.sqlite")) == 6
    lost = {number for node, number in begun(log) if node == sabotage.killed}
    elsewhere = {number for node, number in begun(log) if node != sabotage.killed}
    assert len(lost & elsewhere) == 1  # the one that the node was at, and no finished one, was done again
    assert len(lost | elsewhere) == 6


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as caught:
        make_executor(Execution(kind="ray"), "cpu", ())
    assert "pip install 'scan-order-harness[ray]'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cluster_that_is_not_there_is_said_at_once(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'scan-order-harness[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"  # nobody listens there
        with pytest.raises(UserError) as caught:
            make_executor(Execution(kind="ray", address=address), "cpu", ())
    assert f"Ray cannot be used at address {address!r}" in str(caught.value)
    assert "ray start --head" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 0.0), ("cpu", 0.5)])
def test_a_device_that_a_run_is_not_given_is_refused(device, gpus):
    execution = execution_from({"kind": "ray", "gpus": gpus})
    with pytest.raises(UserError, match=f"device {device} does not go with {gpus:g} GPUs"):
        resolve_device(device, execution)
    assert resolve_device("auto", execution) == ("cuda" if gpus else "cpu")
