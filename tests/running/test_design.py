"""Studies with a page: stages that depend on what came before, run once, and the command that all of them share."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.__main__ import COMMANDS, main
from harness.commands._page_command import PageCommand
from harness.contracts.errors import UserError
from harness.registry.cells import cell_from
from harness.registry.study import READING, Option, ReadingStage, Study, TimingStage
from harness.running import cost_estimate
from harness.running import design as design_module
from harness.running.cost_estimate import Cost
from harness.running.design import TOGETHER, run_design, study_text
from harness.running.execution import execution_from
from harness.running.request import request_from
from harness.store.store import Store

TINY = "standard:steps=2,batch_size=4,validation_samples=8,test_samples=16,evaluate_every=2,width=8"


def cell(name="mean-pool", scan="horizontal"):
    return cell_from("locality2d:height=4,width=4", name, scan, TINY)


class Fake:
    """A study of three stages; the second takes what the first one says."""

    name = "fake"
    sizes = {"quick": "one seed", "default": "two seeds", "full": "three seeds"}
    options = (Option("--noise", "how loud", default=1.0, type=float), Option("ids", "which", default=()))

    def __init__(self):
        self.sent, self.asked = [], []

    def design(self, size, seeds, *, noise=1.0, ids=()):
        self.asked.append((size, seeds, noise, list(ids)))
        if noise < 0:
            raise UserError(f"--noise is 0 or more, got {noise}")
        count = seeds or list(self.sizes).index(size) + 1
        first = yield Study(cells=[cell(), cell("gated-ssm")], seeds=range(count), timing=False)
        best = max(first, key=lambda record: record["test_accuracy"])
        cells = [cell_from(best["task"], best["architecture"], "hilbert", best["protocol"])]
        second = yield Study(cells=cells, seeds=range(count), tune=True, tuning_seeds=(1_000_000,))
        third = yield TimingStage(cells=[cell()])
        self.sent.append((len(first), len(second), third))

    def describe(self, size):
        return [f"{size} cells", "seeds"]

    def wants(self, record):
        return record["architecture"].startswith("mean-pool")

    def sentences(self, records):
        return [f"**{len(records)} records.**"]

    def write_page(self, records, timings, path, *, store, command):
        path.write_text(f"{len(records)} records, {len(timings)} timings of {store}\n\n{command}\n")
        return []


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """`python -m harness fake`, run in a folder of its own."""
    module, command, study = ModuleType("fake"), ModuleType("command"), Fake()
    module.STUDY = study
    page = PageCommand(name="fake")
    command.add_arguments, command.main = page.add_arguments, page.main
    monkeypatch.setitem(sys.modules, "harness.reports.fake.command", module)
    monkeypatch.setitem(sys.modules, "harness.reports.fake", ModuleType("fake"))
    monkeypatch.setitem(sys.modules, "harness.commands.fake", command)
    monkeypatch.setitem(COMMANDS, "fake", "a study for a test")
    monkeypatch.setattr("harness.timing.sampling.SAMPLE_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    return study


def said(capsys, *arguments):
    code = main(["fake", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_stages_run_once_and_each_is_sent_what_came_of_it(fake, capsys):
    code, out, err = said(capsys, "run", "a", "b", "--quick", "--noise", 2, "--workers", 0)
    assert (code, out) == (0, "3 records.\n")
    assert fake.asked == [("quick", None, 2.0, ["a", "b"])] and fake.sent == [(2, 1, [])]
    assert "fake: 2 cells (1 task, 2 architectures, 1 order), 2 runs, those that the store has included\n" in err
    assert "1 cell (1 task, 1 architecture, 1 order), 3 tuning runs and 1 run, those" in err
    assert err.endswith("the page: python -m harness fake report --store fake.sqlite\n")
    with Store("fake.sqlite") as store:
        before, timings = store.records(tuning=True), store.timings()
    assert len(before) == 2 + 3 + 1 and len({row["session"] for row in timings}) == 2
    _, again, err = said(capsys, "run", "--quick", "--workers", 0)
    assert again == out and "to do" not in err and "timing" not in err
    with Store("fake.sqlite") as store:
        assert store.records(tuning=True) == before and store.timings() == timings
    said(capsys, "run", "--quick", "--workers", 0, "--fresh", "--quiet")
    with Store("fake.sqlite") as store:
        assert len(store.records(tuning=True)) == len(before) and len(store.timings()) == 2 * len(timings)


def test_the_executor_and_its_limits_are_those_of_the_command_line(fake, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(design_module, "Runner", lambda **more: asked.append(more) or pytest.fail("enough"))
    with pytest.raises(pytest.fail.Exception):
        said(capsys, "run", "--workers", 3, "--time-limit", 60, "--store", "s.sqlite", "--quiet")
    pool = asked[0]["executor"]
    assert pool.workers == 3 and pool.execution.time_limit == 60 and pool.execution.replicas == 1


def test_on_a_gpu_seeds_train_together_unless_the_request_says_otherwise(monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(design_module, "resolve_device", lambda *_: "cuda")
    monkeypatch.setattr(design_module, "Runner", lambda **more: found.append(more["executor"]) or pytest.fail("enough"))
    for more in ({}, {"replicas": 3}):
        executor = execution_from({"kind": "in-process", **more})
        request = request_from({"executor": executor, "store": str(tmp_path / "s.sqlite")})
        with pytest.raises(pytest.fail.Exception):
            run_design(request, Fake().design("quick", None))
    assert [executor.execution.replicas for executor in found] == [TOGETHER, 3]


def test_a_reading_stage_reads_once(tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr("harness.timing.reading.reading_facts", lambda *asked: reads.append(asked) or {"slides": 3})

    def design():
        yield ReadingStage(task="wsi:root=x", kept_mebibytes=32)

    request = request_from({"store": str(tmp_path / "s.sqlite"), "executor": execution_from({"workers": 0})})
    outcomes = [run_design(request, design()) for _ in range(2)]
    assert reads == [("wsi:root=x", 32)] and outcomes[0].timings == outcomes[1].timings
    assert outcomes[0].timings[0]["cell"] == READING and outcomes[0].timings[0]["slides"] == 3
    run_design(request.changed(overwrite=True), design())
    assert len(reads) == 2


def test_list_and_report(fake, capsys):
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert out.splitlines()[:4] == ["quick: one seed", "  quick cells", "  seeds", "default: two seeds"]
    assert said(capsys, "run", "--seeds", 1, "--workers", 0, "--quiet")[0] == 0
    code, _, err = said(capsys, "report", "-o", "my page.md")
    assert (code, err) == (0, "my page.md\n")
    text = Path("my page.md").read_text()
    assert "timings of fake.sqlite" in text
    assert "python -m harness fake report --store fake.sqlite -o 'my page.md'" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--noise", "-1"], "--noise is 0 or more, got -1.0"),
        (["run", "--noise", "loud"], "--noise: invalid float value: 'loud'"),
        (["run", "--seeds", "0"], "--seeds is from 1 to 100000, got 0"),
        (["run", "--quick", "--full"], "not allowed with"),
        (["run", "--device", "tpu"], "device: input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        (["run", "--executor", "in-process", "--memory-limit", "1"], "a limit needs worker processes"),
        (["run", "--address", "auto"], "address can be had with kind 'ray' only"),
        (["run", "--workers", "-1"], "--workers is 0 or more, got -1"),
        (["run", "--store", "no/s.sqlite"], "does not exist"),
        (["report"], "make one with: python -m harness fake run"),
        (["report", "-o", "page.pdf"], "give a .md file or a .html file"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(fake, capsys, arguments, words):
    try:
        code, out, err = said(capsys, *arguments)
    except SystemExit as ended:  # argparse's own
        code, (out, err) = ended.code, capsys.readouterr()
    assert (code, out) == (2, "") and err.count("\n") == 1 and words in err
    assert not list(Path().iterdir())


def test_a_study_says_how_much_it_is():
    study = Study(cells=[cell(), cell(scan="hilbert")], seeds=range(1000), tune=True)
    assert study_text(study) == (
        "2 cells (1 task, 1 architecture, 2 orders), 12 tuning runs and 2,000 runs, those that the store has included"
    )


def test_a_large_study_says_beforehand_what_it_will_take(tmp_path, monkeypatch):
    cells = [cell(), cell(scan="hilbert"), cell("gru")]
    study = Study(cells=cells, seeds=range(4), timing=False)
    with Store(tmp_path / "s.sqlite") as store:
        assert design_module.cost_text(study, store) == ""  # few runs: no time is spent on telling
        monkeypatch.setattr(design_module, "MANY", 12)
        text = design_module.cost_text(study, store)
        assert text.startswith("; at most about ") and "core-hours for 12 runs to do" in text
        monkeypatch.setattr(design_module, "total_seconds", lambda runs, **place: 3600.0 * sum(runs.values()))
        assert "about 12.0 core-hours" in design_module.cost_text(study, store)
        tuned = Study(cells=cells, seeds=range(4), tune=True, tuning_seeds=(1_000_000,), rates=(0.1, 0.2))
        assert "about 18.0 core-hours" in design_module.cost_text(tuned, store)


def test_cells_that_are_not_timed_cost_what_their_neighbours_do(monkeypatch):
    cells = [cell_from("locality2d", "mean-pool", "horizontal", f"standard:steps={n}") for n in (1, 2, 3, 4)]
    monkeypatch.setattr(cost_estimate, "TRIED", 2)
    seconds = {cells[1]: Cost(seconds=10.0, peak_bytes=None), cells[3]: Cost(seconds=100.0, peak_bytes=None)}
    monkeypatch.setattr(cost_estimate, "costs_of", lambda tried, **place: {one: seconds[one] for one in tried})
    runs = dict(zip(cells, (1, 2, 3, 4), strict=True))
    assert cost_estimate.total_seconds(runs, device="cpu", dtype="float32") == 3 * 10 + 7 * 100
