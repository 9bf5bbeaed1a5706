"""Loggers: they hear of every run, and whatever they do costs the store nothing."""

import importlib.util
import sys

import pytest

import harness
from harness.__main__ import main
from harness.running.loggers import RunLogger, curve_of, results_of
from harness.store.store import Store

TASK = "locality2d:height=4,width=4"
CLI = [
    "run", "--task", TASK, "--arch", "mean-pool", "--scan", "hilbert", "--device", "cpu", "--no-timing", "--quiet",
    "--workers", "0",
]  # fmt: skip


def run_with(tmp_path, protocol, *loggers, **more):
    request = {"task": TASK, "architecture": "mean-pool", "scan": "hilbert", "protocol": protocol, "seeds": 3}
    place = {"device": "cpu", "store": tmp_path / "r.sqlite", "workers": 0, "timing": False}
    return harness.run(**(request | place | more), sinks=loggers)


class Listener(RunLogger):
    """Keeps what it hears, and what the store had then; raises where it is told to."""

    def __init__(self, store=None, raises=()):
        self.store, self.raises = store, raises
        self.progress, self.records, self.stored, self.closed = [], [], [], 0

    def on_progress(self, run, step, steps, loss, accuracy):
        self.progress.append((run.seed, step, steps, loss, accuracy))
        self._perhaps("on_progress")

    def on_record(self, record):
        self.records.append(record)
        if self.store:
            with Store(self.store, read_only=True) as store:
                self.stored.append(store.find(record["key"]) == record)
        self._perhaps("on_record")

    def close(self):
        self.closed += 1
        self._perhaps("close")

    def _perhaps(self, method):
        if method in self.raises:
            raise RuntimeError(f"{method} as asked\nin two lines")


def test_a_logger_hears_of_every_run_as_it_goes_and_once_the_store_has_it(tmp_path, tiny_protocol):
    listener = Listener(tmp_path / "r.sqlite")
    frame = run_with(tmp_path, tiny_protocol, listener)
    assert [record["key"] for record in listener.records] == frame["key"].tolist()
    assert listener.stored == [True] * 3
    assert {(seed, step, steps) for seed, step, steps, *_ in listener.progress} >= {(seed, 4, 4) for seed in range(3)}
    assert all(0 < loss < 10 and 0 <= accuracy <= 1 for *_, loss, accuracy in listener.progress)
    assert listener.closed == 1
    again = Listener()
    run_with(tmp_path, tiny_protocol, again)
    assert again.records == [] and again.closed == 1  # what the store has is not told again


def test_tuning_runs_are_told_too_and_say_so(tmp_path, tiny_protocol):
    listener = Listener()
    run_with(tmp_path, tiny_protocol, listener, tune=True, seeds=1)
    purposes = [record["purpose"] for record in listener.records]
    assert purposes[-1] == "final" and set(purposes[:-1]) == {"tuning"}


@pytest.mark.parametrize("method", ["on_progress", "on_record", "close"])
def test_a_logger_that_raises_is_dropped_in_one_line_and_no_record_is_lost(tmp_path, tiny_protocol, capsys, method):
    class Other(Listener):
        pass

    broken, other = Listener(raises=(method,)), Other()
    run_with(tmp_path, tiny_protocol, broken, other)
    assert len(harness.load(tmp_path / "r.sqlite")) == 3
    assert len(other.records) == 3 and other.closed == 1
    heard = {"on_progress": broken.progress, "on_record": broken.records, "close": [broken.closed]}[method]
    assert len(heard) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: logger Listener is left out") and f"RuntimeError: {method} as asked;" in line


def test_a_study_that_is_interrupted_closes_its_loggers(tmp_path, tiny_protocol):
    class Impatient(Listener):
        def on_record(self, record):
            raise KeyboardInterrupt

    sink = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_with(tmp_path, tiny_protocol, sink)
    assert sink.closed == 1
    assert len(harness.load(tmp_path / "r.sqlite")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tensorbord:logs", "did you mean tensorboard"),
        ("tensorboard", "tensorboard:logs"),
        ("mlflow:", "give a tracking URI"),
        ("", "--logger is kind:target"),
    ],
)
def test_a_wrong_logger_is_one_line_and_nothing_runs(tmp_path, tiny_protocol, monkeypatch, capsys, text, words):
    monkeypatch.chdir(tmp_path)
    assert main([*CLI, "--protocol", tiny_protocol, "--logger", text]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert len(harness.load("results.sqlite")) == 0


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_package_that_is_missing_is_one_line_that_says_how_to_get_it(
    tmp_path, tiny_protocol, monkeypatch, capsys, kind
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, kind, None)  # its import fails
    for name in [
        name for name in sys.modules if name.startswith(("torch.utils.tensorboard", f"harness.running.{kind}_logger"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert main([*CLI, "--protocol", tiny_protocol, "--logger", f"{kind}:somewhere"]) == 2
    error = capsys.readouterr().err
    assert f"pip install 'scan-order-harness[{kind}]'" in error and len(error.splitlines()) == 1


def test_numbers_that_are_none_are_left_out():
    record = {"test_accuracy": 0.5, "test_loss": float("nan"), "steps_to_threshold": None}
    assert results_of(record) == {"test_accuracy": 0.5}
    curve = {"step": [0, 5], "validation_accuracy": [0.1, 0.2], "train_loss": [None, 1.0]}
    points = [("validation_accuracy", 0, 0.1), ("validation_accuracy", 5, 0.2), ("train_loss", 5, 1.0)]
    assert list(curve_of({"curve": curve})) == points
    assert list(curve_of({"status": "failed"})) == []


needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
    for name in ("tensorboard", "mlflow")
}


@needs["tensorboard"]
def test_tensorboard_reads_back_what_the_records_hold(tmp_path, tiny_protocol, monkeypatch, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    arch = ["--arch", "mean-pool", "local-attention:window=2", "--seeds", "2"]
    assert main([*CLI, *arch, "--protocol", tiny_protocol, "--sink", "tensorboard:logs/deep"]) == 0
    assert "warning: logger" not in capsys.readouterr().err
    folders = sorted((tmp_path / "logs" / "deep").iterdir())
    assert len(folders) == 4
    frame = harness.load("results.sqlite", curves=True).set_index("key")
    for key, row in frame.iterrows():
        (folder,) = [folder for folder in folders if folder.name.endswith(key[:8])]
        assert row["architecture"].partition(":")[0] in folder.name and f"seed_{row['seed']}" in folder.name
        events = EventAccumulator(str(folder)).Reload()
        curve = events.Scalars("curve/validation_accuracy")
        assert [event.step for event in curve] == row["curve"]["step"]
        assert [event.value for event in curve] == pytest.approx(row["curve"]["validation_accuracy"])
        assert events.Scalars("test_accuracy")[0].value == pytest.approx(row["test_accuracy"])
        assert events.Scalars("live/training loss")


@needs["mlflow"]
def test_mlflow_reads_back_what_the_records_hold(tmp_path, tiny_protocol, monkeypatch, capsys):
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder suffices here, and needs no database package
    uri = (tmp_path / "runs").as_uri()
    assert main([*CLI, "--seeds", "2", "--protocol", tiny_protocol, "--logger", f"mlflow:{uri}"]) == 0
    assert "warning: logger" not in capsys.readouterr().err
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(TASK)
    runs = {run.data.params["key"]: run for run in client.search_runs([experiment.experiment_id])}
    frame = harness.load("results.sqlite", curves=True).set_index("key")
    assert runs.keys() == set(frame.index)
    for key, row in frame.iterrows():
        run = runs[key]
        assert run.info.status == "FINISHED" and run.data.params["seed"] == str(row["seed"])
        assert run.data.metrics["test_accuracy"] == pytest.approx(row["test_accuracy"])
        history = client.get_metric_history(run.info.run_id, "curve_validation_accuracy")
        assert [point.step for point in history] == row["curve"]["step"]
