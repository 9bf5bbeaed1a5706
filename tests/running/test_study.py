import numpy as np
import pytest
import torch

import harness
from harness.contracts.errors import UserError
from harness.registry import architectures, load_plugin
from harness.registry.cells import Run, cell_from, display_spec
from harness.registry.study import TUNING_SEEDS
from harness.running.answer import run_request
from harness.running.execution import Execution
from harness.running.executors import Pool
from harness.running.request import request_from
from harness.store.dataframe import COLUMNS
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.precision import precision

TASK = "locality2d:height=4,width=4"
NUMBERS = ["test_accuracy", "test_loss", "validation_accuracy", "mean_validation_accuracy"]

PLUGIN = """
import os, signal
from harness.contracts.mixer import Mixer
from harness.registry import architectures

@architectures.register("misbehaving", version=1)
def misbehaving(*, kind: str = "raise", width, generator):
    '''Does what a test asks for.'''
    class Misbehaving(Mixer):
        def forward(self, x, mask=None, cells=None):
            if kind == "raise":
                raise RuntimeError("as asked")
            if kind == "explode":
                return x * float("nan")
            if kind == "memory":
                raise MemoryError("as asked")
            if kind == "unsupported":
                from harness.contracts.errors import Unsupported
                raise Unsupported("it needs a machine of its own", "build one")
            if os.environ.get("HARNESS_TEST_KILL"):
                os.kill(os.getpid(), signal.SIGKILL)
            return x
    return Misbehaving()
"""


@pytest.fixture
def misbehaving(tmp_path):
    path = tmp_path / "misbehaving_plugin.py"
    path.write_text(PLUGIN)
    load_plugin(str(path))
    yield str(path)
    architectures._entries.pop("misbehaving", None)


def run_tiny(tmp_path, protocol, /, **more):
    request = {
        "task": TASK,
        "architecture": ["gated-ssm", "mean-pool"],
        "scan": "hilbert",
        "protocol": protocol,
        "seeds": 2,
        "device": "cpu",
        "store": tmp_path / "r.sqlite",
        "workers": 0,
        "timing": False,
    }
    return harness.run(**(request | more))


def request_of(tmp_path, protocol, **more):
    """One run of a mean-pool in this process."""
    axes = {"tasks": [TASK], "architectures": ["mean-pool"], "scans": ["hilbert"], "protocols": [protocol]}
    place = {"device": "cpu", "store": str(tmp_path / "r.sqlite"), "executor": Execution(kind="in-process")}
    return request_from(axes | place | {"seeds": 1, "timing": False} | more)


def test_a_run_gives_a_row_with_every_promised_column(tmp_path, tiny_protocol):
    frame = run_tiny(tmp_path, tiny_protocol)
    assert tuple(frame.columns) == (*COLUMNS, "curve")
    assert frame["status"].tolist() == ["done"] * 4
    assert frame["seed"].tolist() == [0, 1, 0, 1]
    assert frame["test_accuracy"].between(0, 1).all()
    assert (frame["chance_accuracy"] == 0.5).all()
    assert frame["key"].is_unique
    loaded = harness.load(tmp_path / "r.sqlite")
    assert loaded[NUMBERS].equals(frame[NUMBERS])


def test_the_same_request_is_answered_from_the_store_and_fresh_runs_it_again(tmp_path, tiny_protocol, monkeypatch):
    first = run_tiny(tmp_path, tiny_protocol)
    with monkeypatch.context() as patch:
        patch.setattr("harness.training.execute.execute", lambda *_: pytest.fail("it ran again"))
        again = run_tiny(tmp_path, tiny_protocol)
    assert again["started_at"].equals(first["started_at"])
    fresh = run_tiny(tmp_path, tiny_protocol, fresh=True)
    assert fresh[NUMBERS].equals(first[NUMBERS])  # bit for bit
    assert len(harness.load(tmp_path / "r.sqlite")) == 4


def test_more_seeds_run_only_what_is_missing(tmp_path, tiny_protocol):
    first = run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=[0])
    both = run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=[0, 5])
    assert both["started_at"][0] == first["started_at"][0]
    assert both["seed"].tolist() == [0, 5]


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("raise", "failed", "RuntimeError: as asked"),
        ("explode", "diverged", "at step"),
        ("memory", "out-of-memory", "as asked"),
        ("unsupported", "unsupported", "build one"),
    ],
)
def test_what_goes_wrong_is_a_record_with_a_reason_and_the_study_goes_on(
    tmp_path, tiny_protocol, misbehaving, kind, status, reason
):
    frame = run_tiny(tmp_path, tiny_protocol, architecture=[f"misbehaving:kind={kind}", "mean-pool"], seeds=1)
    assert frame["status"].tolist() == [status, "done"]
    assert reason in frame["reason"][0]


def test_a_worker_that_is_killed_costs_its_own_run_only(tiny_protocol, misbehaving, monkeypatch):
    monkeypatch.setenv("HARNESS_TEST_KILL", "1")
    names = ("misbehaving:kind=kill", "mean-pool", "gated-ssm")
    runs = [Run(cell=cell_from(TASK, name, "hilbert", tiny_protocol), seed=0) for name in names]
    records = {record["architecture"].partition(":")[0]: record for record in Pool(1, [misbehaving]).map(runs, print)}
    assert records["misbehaving"]["status"] == "failed"
    assert "SIGKILL" in records["misbehaving"]["reason"]
    assert records["mean-pool"]["status"] == records["gated-ssm"]["status"] == "done"


def test_a_scan_that_does_not_fit_the_grid_is_unsupported_with_a_cure(tmp_path, tiny_protocol):
    frame = run_tiny(
        tmp_path, tiny_protocol, task="locality2d:height=5,width=7", architecture="mean-pool", scan="moore"
    )
    assert frame["status"].tolist() == ["unsupported"] * 2
    assert frame["reason"][0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"task": "localty2d"}, "did you mean locality2d"),
        ({"scan": "hilbret"}, "did you mean hilbert"),
        ({"scan": "cross+hilbert"}, "joins single routes"),
        ({"scan": "hilbert.mirrored"}, "modifier"),
        ({"architecture": "global-attention:heads=3"}, "heads"),
        ({"protocol": "standard:steps=0"}, "steps"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [TUNING_SEEDS[0]]}, "seeds"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_what_the_user_got_wrong_is_said_before_anything_runs(tmp_path, tiny_protocol, more, words):
    with pytest.raises(UserError, match=words) as caught:
        run_tiny(tmp_path, tiny_protocol, **more)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.sqlite").exists() or len(harness.load(tmp_path / "r.sqlite")) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA GPU is there")
def test_a_device_that_is_not_there_is_a_user_error(tmp_path, tiny_protocol):
    with pytest.raises(UserError, match="cuda is not there"):
        run_tiny(tmp_path, tiny_protocol, device="cuda")


def test_tuning_chooses_among_one_grid_on_seeds_of_its_own(tmp_path, tiny_protocol):
    frame = run_tiny(tmp_path, tiny_protocol, architecture="local-attention", tune=True, seeds=1)
    everything = harness.load(tmp_path / "r.sqlite", tuning=True)
    tuning = everything[everything["purpose"] == "tuning"]
    assert sorted(tuning["seed"].unique()) == sorted(TUNING_SEEDS)
    assert sorted(tuning["learning_rate"].unique()) == [0.001, 0.003, 0.01]
    scores = tuning.groupby("learning_rate")["validation_accuracy"].mean()
    assert frame["learning_rate"][0] == scores.idxmax()
    assert frame["lr_selection"][0] == {"rates": [0.001, 0.003, 0.01], "seeds": len(TUNING_SEEDS)}
    assert len(harness.load(tmp_path / "r.sqlite")) == 1  # tuning runs are in no table


def test_data_depend_on_task_seed_and_split_and_on_nothing_else():
    task_cells = [
        cell_from(TASK, name, scan, f"standard:learning_rate={rate}")
        for name, scan, rate in (("mamba", "hilbert", 0.003), ("gated-ssm", "cross", 0.01))
    ]
    from harness.registry.cells import task_of

    batches = []
    for cell in task_cells:
        data = Data(task_of(cell), spec=cell.task, seed=3)
        batches.append([next(parts) for parts in data.train_parts(count=64, batch_size=16, steps=6)])
    for (a, b, _), (c, d, _) in zip(*batches, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    other = Data(task_of(task_cells[0]), spec=task_cells[0].task, seed=4)
    assert not torch.equal(next(next(other.train_parts(count=64, batch_size=16, steps=1)))[0], batches[0][0][0])


def test_each_pass_over_the_training_set_shows_each_sample_once_in_a_new_order():
    from harness.registry.cells import parse_task

    data = Data(parse_task(TASK), spec=TASK, seed=0)
    batches = [next(parts) for parts in data.train_parts(count=32, batch_size=16, steps=4)]
    first, second = (torch.cat([batches[i][0], batches[i + 1][0]]).flatten(1) for i in (0, 2))
    assert not torch.equal(first, second)
    key = [sorted(rows.sum(1).tolist()) for rows in (first, second)]
    np.testing.assert_allclose(key[0], key[1], rtol=1e-5)


def test_keys_depend_on_everything_that_can_change_the_numbers(tiny_protocol):
    cell = cell_from(TASK, "mamba", "hilbert", tiny_protocol)
    base = Run(cell=cell, seed=0)
    others = [
        Run(cell=cell, seed=1),
        Run(cell=cell, seed=0, device="cuda"),
        Run(cell=cell, seed=0, dtype="bfloat16"),
        Run(cell=cell, seed=0, threads=2),
        Run(cell=cell, seed=0, purpose="tuning"),
        Run(cell=cell.with_learning_rate(0.5), seed=0),
        Run(cell=cell_from(TASK, "mamba:state=8", "hilbert", tiny_protocol), seed=0),
    ]
    assert len({base.key, *(run.key for run in others)}) == len(others) + 1
    spelled = cell_from("locality2d:width=4,height=4", "mamba:state=16", "hilbert", tiny_protocol)
    assert Run(cell=spelled, seed=0).key == base.key


def test_a_record_of_other_source_is_reported_as_stale(tmp_path, tiny_protocol, monkeypatch):
    from harness.analysis.summary import rows_of
    from harness.analysis.tables import accuracy_text
    from harness.store.store import Store

    run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=1)
    with Store(tmp_path / "r.sqlite") as store:
        (record,) = store.records()
        store.write(record | {"source": "another"})
    outcome = run_request(request_of(tmp_path, tiny_protocol))
    assert outcome.stale == [record["key"]]
    assert "stale" in accuracy_text(rows_of(outcome.records, [])[0])


def test_short_names_leave_out_what_stands_at_its_default():
    cell = cell_from("locality2d:height=16", "mamba", "window:size=4.reversed+hilbert", "standard:steps=9")
    assert display_spec("task", cell.task) == "locality2d:height=16"
    assert display_spec("architecture", cell.architecture) == "mamba"
    assert display_spec("scan", cell.scan) == "window:size=4.reversed+hilbert"
    assert display_spec("protocol", cell.protocol) == "standard:steps=9"


def test_training_learns_what_can_be_learned(tmp_path):
    cell = cell_from("majority:length=16", "mean-pool", "horizontal", "standard:steps=150,learning_rate=0.01")
    record = execute(Run(cell=cell, seed=0))
    assert record["status"] == "done"
    assert record["test_accuracy"] > 0.95
    assert record["steps_to_threshold"] is not None
    assert 0.5 < record["mean_validation_accuracy"] < 1


def test_bfloat16_is_a_run_of_its_own_with_other_numbers(tmp_path, tiny_protocol):
    frames = [
        run_tiny(tmp_path, tiny_protocol, architecture="local-attention", seeds=1, dtype=dtype)
        for dtype in ("float32", "bfloat16")
    ]
    assert [frame["status"][0] for frame in frames] == ["done", "done"]
    assert frames[0]["key"][0] != frames[1]["key"][0]
    assert frames[0]["test_loss"][0] != frames[1]["test_loss"][0]
    assert frames[0]["test_loss"][0] == pytest.approx(frames[1]["test_loss"][0], rel=0.05)


def test_bfloat16_computes_with_the_weights_as_they_are_after_each_step():
    layer, x = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with precision("bfloat16", "cpu"):
        for _ in range(3):
            y = layer(x)
            assert y.dtype == torch.bfloat16
            expected = layer.weight.double().sum(1) + layer.bias.double()
            torch.testing.assert_close(y[0].double(), expected, rtol=0.02, atol=0.05)
            (gradient,) = torch.autograd.grad(y.float().sum(), [layer.weight])
            with torch.no_grad():
                layer.weight -= gradient


def test_tf32_on_a_cpu_is_unsupported_and_an_unknown_dtype_a_mistake(tmp_path, tiny_protocol):
    frame = run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=1, dtype="tf32")
    assert frame["status"].tolist() == ["unsupported"]
    with pytest.raises(UserError, match="dtype"):
        run_tiny(tmp_path, tiny_protocol, dtype="float23")


def test_a_model_whose_scores_are_not_numbers_has_diverged(tmp_path, tiny_protocol):
    (tmp_path / "nan_plugin.py").write_text(
        "from harness.contracts.mixer import Mixer\n"
        "from harness.registry import architectures\n"
        "@architectures.register('nan-at-evaluation', version=1)\n"
        "def nan_at_evaluation(*, width, kind: str = 'nan'):\n"
        "    '''Numbers in training only.'''\n"
        "    class Bad(Mixer):\n"
        "        def forward(self, x, mask=None, cells=None):\n"
        "            if kind == 'shape':\n"
        "                return x[:, :1]\n"
        "            return x if self.training else x * float('nan')\n"
        "    return Bad()\n"
    )
    load_plugin(str(tmp_path / "nan_plugin.py"))
    try:
        names = ["nan-at-evaluation", "nan-at-evaluation:kind=shape"]
        frame = run_tiny(tmp_path, tiny_protocol, architecture=names, seeds=1)
    finally:
        architectures._entries.pop("nan-at-evaluation", None)
    assert frame["status"].tolist() == ["diverged", "failed"]
    assert "shape" in frame["reason"][1]


def test_a_store_that_vanishes_during_a_study_is_said(tmp_path, tiny_protocol):
    from harness.store.store import Store

    run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=1)
    with Store(tmp_path / "r.sqlite") as store:
        (record,) = store.records()
        (tmp_path / "r.sqlite").unlink()
        with pytest.raises(UserError, match="deleted or replaced"):
            store.write(record)


def test_a_stale_tuning_run_is_reported_when_it_chooses_a_rate(tmp_path, tiny_protocol):
    from harness.store.store import Store

    run_tiny(tmp_path, tiny_protocol, architecture="mean-pool", seeds=1, tune=True)
    with Store(tmp_path / "r.sqlite") as store:
        tuning = next(record for record in store.records(tuning=True) if record["purpose"] == "tuning")
        store.write(tuning | {"source": "another"})
    outcome = run_request(request_of(tmp_path, tiny_protocol, tune=True))
    assert outcome.stale == [tuning["key"]]
