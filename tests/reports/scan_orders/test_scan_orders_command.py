"""`scan-orders` as a user meets it."""

import pytest

from harness.__main__ import main
from harness.registry.cells import cell_from
from harness.reports.designs import TUNING_SEEDS, Plan
from harness.reports.scan_orders import study
from harness.store.store import Store

TINY = (
    "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8,"
    'transfer="horizontal hilbert random"'
)


def said(capsys, *arguments):
    code = main(["scan-orders", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def tiny(monkeypatch):
    """The quick study, shrunk to a few seconds."""
    monkeypatch.setattr("harness.timing.sampling.SAMPLE_SECONDS", 0.001)
    cells = tuple(
        cell_from("locality2d:height=4,width=4", "gated-ssm", order, TINY)
        for order in ("horizontal", "hilbert", "random")
    )
    plan = Plan(cells=cells, seeds=1, primary_seeds=2)
    monkeypatch.setitem(study.PLANS, "quick", lambda seeds=None: plan)


def test_the_study_runs_resumes_and_is_written_up(tmp_path, capsys, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    run = ("run", "--quick", "--workers", 0, "--store", "s.sqlite")
    code, out, err = said(capsys, *run)
    assert code == 0, err
    assert "Which scan? No test here finds a significant difference between orders." in out
    assert "underpowered in 1" in out

    code, again, err = said(capsys, *run)
    assert code == 0 and again == out
    assert "runs to do" not in err  # nothing was left to do

    with Store("s.sqlite", read_only=True) as store:
        records, timings = store.records(tuning=True), store.timings()
    final = [record for record in records if record["purpose"] == "final"]
    assert (len(records), len(final), len(timings)) == (14, 5, 3)
    assert {r["seed"] for r in final if r["scan"] == "hilbert"} == {0, 1}
    assert {r["seed"] for r in final if r["scan"].startswith("random")} == {0}
    assert {r["seed"] for r in records if r["purpose"] == "tuning"} == set(TUNING_SEEDS)
    assert [r["lr_selection"] for r in final] == [{"rates": [0.001, 0.003, 0.01], "seeds": 1}] * len(final)

    code, _, err = said(capsys, "report", "--store", "s.sqlite", "-o", "page.md")
    assert code == 0 and "page.md with" in err
    page = (tmp_path / "page.md").read_text()
    assert "# Which scan order?" in page and "underpowered" in page
    assert "- runs: 5 done" in page
    for name in ("orders", "accuracy", "rates", "transfer"):
        assert (tmp_path / f"page-{name}.png").stat().st_size > 5000
    assert "](page-transfer.png)" in page


def test_a_run_that_fails_is_said_and_exits_with_1(tmp_path, capsys, monkeypatch, tiny):
    from harness.running import runner

    def lost(run, reason="worker died"):
        from harness.store.record import lost_record

        return lost_record(run, reason)

    class Broken:
        def __init__(self, *_):
            pass

        def map(self, runs, _):
            yield from map(lost, runs)

    monkeypatch.setattr(runner, "InProcess", Broken)
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, "run", "--quick", "--workers", 0, "--quiet")
    assert code == 1
    assert "failed: locality2d" in err and "worker died" in err
    assert "No test here finds a significant difference between orders" in out
    code, _, _ = said(capsys, "report")
    assert code == 0
    assert "- runs: 5 failed" in (tmp_path / "scan-orders.md").read_text()


def test_the_list_names_the_three_sizes_with_their_axes(capsys):
    code, out, _ = said(capsys, "list")
    assert code == 0
    sizes = [line.partition(":")[0] for line in out.splitlines() if not line.startswith(" ")]
    assert sizes == ["quick", "default", "full"]
    assert "scan: horizontal snake hilbert morton spiral random" in out
    assert "5 (10 under horizontal and hilbert)" in out


def test_the_default_primary_family_can_be_decided():
    plan = study.default_plan()
    family = len({(cell.task, cell.architecture) for cell in plan.primary})
    assert family == len(study.TASKS) * len(study.ARCHITECTURES)
    assert family * 2.0 ** (1 - plan.primary_seeds) <= 0.05


def test_the_full_study_holds_the_default_one_and_only_orders_that_fit():
    full, default = study.full_plan(), study.default_plan()
    assert set(default.cells) <= set(full.cells)
    assert all(study.fits(cell.scan, cell.task) for cell in full.cells)
    assert any("readout=last" in cell.protocol for cell in full.cells)
    assert {"vertical", "bidirectional"} <= {cell.scan.partition(":")[0] for cell in full.cells}
    assert len(set(study.difficulties(["locality2d"]))) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--seeds", "0"], "--seeds is from 1 to 100000, got 0"),
        (["run", "--workers", "-1"], "--workers is 0 or more, got -1"),
        (["run", "--device", "tpu"], "tpu"),
        (["run", "--gpus", "1"], "executor: gpus can be had with kind 'ray' only"),
        (["run", "--workers", "0", "--time-limit", "60"], "a limit needs worker processes"),
        (["run", "--store", "nowhere/p.sqlite"], "does not exist"),
        (["report", "--store", "none.sqlite"], "'none.sqlite' does not exist"),
        (["report", "--store", "none.sqlite", "-o", "page.txt"], "give a .md file or a .html file"),
        (["report", "--store", "none.sqlite", "-o", "no/page.md"], "folder 'no' does not exist"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and words in err


def test_a_store_without_runs_is_said_to_be_so(tmp_path, capsys):
    Store(tmp_path / "empty.sqlite").close()
    code, _, err = said(capsys, "report", "--store", tmp_path / "empty.sqlite")
    assert code == 2 and "holds no runs of it" in err
