"""Which seeds are run where, with runs that are made up instead of trained."""

import itertools

import pytest

import harness
from harness.__main__ import main
from harness.analysis.sequential import Decision
from harness.contracts.errors import UserError
from harness.contracts.outcome import Status
from harness.registry.cells import cells_from
from harness.registry.study import Study
from harness.running.deciding import Deciding, forecast, stored
from harness.running.declared import comparisons_of
from harness.running.progress import Progress
from harness.running.request import Decide
from harness.running.runner import Runner
from harness.store.record import begin_record
from harness.store.store import Store

SCANS = ("horizontal", "hilbert", "snake")


class MadeUp:
    """Runs whose accuracy is a function of scan and seed; `done` has them in order."""

    workers = 2

    def __init__(self, accuracy, seconds=100.0):
        self.accuracy, self.seconds, self.done = accuracy, seconds, []

    def map(self, runs, watch):
        for run in runs:
            scan = run.cell.scan.partition(":")[0]
            self.done.append((scan, run.seed))
            found = self.accuracy(scan, run.seed)
            record = begin_record(run) | {"run_seconds": self.seconds, "chance_accuracy": 0.5, "test_accuracy": found}
            yield record if found is not None else record | {"status": Status.FAILED, "reason": "made up"}


def deciding(store, executor, said=None, scans=SCANS, **rule):
    rule = Decide(**{"max_seeds": 64, **rule})
    study = Study(cells=cells_from(["majority"], ["mean-pool"], scans, ["standard"]), seeds=range(rule.max_seeds))
    runner = Runner(store=store, executor=executor, progress=Progress(quiet=True))
    say = (lambda _: None) if said is None else said.append
    return Deciding(runner=runner, study=study, cells=study.cells, rule=rule, say=say)


def unsure(scan, seed):
    """Hilbert is .2 better, snake now better and now worse."""
    wave = (0.05, -0.06, 0.04, -0.03)[seed % 4]
    return {"horizontal": 0.6, "hilbert": 0.8, "snake": 0.6 + wave}[scan]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "made-up.sqlite") as store:
        yield store


def test_seeds_go_only_where_the_answer_is_open(store):
    executor = MadeUp(unsure)
    hilbert, snake = deciding(store, executor, max_seeds=20).decide()
    assert hilbert.answer.decision is Decision.BETTER and hilbert.answer.seeds == 7
    assert snake.answer.decision is Decision.UNDECIDED and snake.answer.seeds == 20
    ran = {scan: [seed for name, seed in executor.done if name == scan] for scan in SCANS}
    assert ran["hilbert"] == list(range(7))
    assert ran["horizontal"] == ran["snake"] == list(range(20))


def test_nothing_runs_twice_and_the_answer_is_the_same(store):
    first = deciding(store, MadeUp(unsure), max_seeds=12).decide()
    executor = MadeUp(unsure)
    assert deciding(store, executor, max_seeds=12).decide() == first
    assert executor.done == []
    more = deciding(store, executor, max_seeds=16).decide()
    assert sorted(executor.done) == sorted(itertools.product(("horizontal", "snake"), range(12, 16)))
    assert more[0].answer == first[0].answer


def test_how_many_seeds_run_at_once_changes_no_answer(tmp_path):
    rows = []
    for seconds in (0.001, 1000.0):
        with Store(tmp_path / f"{seconds}.sqlite") as store:
            found = deciding(store, MadeUp(unsure, seconds), max_seeds=40).decide()
            rows.append([decided.answer for decided in found])
    assert rows[0] == rows[1]


def test_a_budget_ends_it_before_what_would_go_over(store):
    spent = deciding(store, MadeUp(unsure, seconds=100.0), budget="10s", scans=("horizontal", "snake")).decide()
    assert spent[0].reason == "budget of 10s spent" and spent[0].answer.seeds == 6
    assert "undecided (budget of 10s spent)" in spent[0].line
    deciding(store, MadeUp(unsure), budget="1h", max_seeds=20, scans=("horizontal", "snake")).decide()
    # What is in the store costs nothing.
    again = deciding(store, MadeUp(unsure), budget="10s", scans=("horizontal", "snake")).decide()
    assert again[0].answer.seeds == 20


def test_a_seed_without_a_score_is_left_out(store):
    executor = MadeUp(lambda scan, seed: None if seed == 2 else unsure(scan, seed))
    (found,) = deciding(store, executor, scans=("horizontal", "hilbert")).decide()
    assert found.answer.decision is Decision.BETTER and found.answer.seeds == 6
    assert ("hilbert", 6) in executor.done


def test_two_cells_at_chance_are_alike_and_said_to_be_there(store):
    (found,) = deciding(store, MadeUp(lambda scan, seed: 0.5), scans=("horizontal", "hilbert")).decide()
    assert found.answer.decision is Decision.EQUIVALENT and found.line.endswith("differ by more; both at chance")


def test_cells_that_never_have_a_score_are_given_up(store):
    executor = MadeUp(lambda scan, seed: None)
    (found,) = deciding(store, executor, scans=("horizontal", "hilbert")).decide()
    assert found.line.endswith("undecided, no pair of seeds has scores")
    assert len(executor.done) == 12


def test_what_it_will_cost_is_said_before_and_after_the_first_seeds(store):
    said = []
    one = deciding(store, MadeUp(unsure), said, max_seeds=30)
    assert forecast(one.declared, {}, one.rule).count("from 7 to 30 seeds; too few are in the store to tell") == 2
    one.decide()
    assert len(said) == 2
    assert "snake against horizontal: about 30 seeds, about 76.7 min of processor time more" in said[1]
    again = deciding(store, MadeUp(unsure), max_seeds=31)
    known = stored(store, again.study, again.cells)
    lines = forecast(again.declared, known, again.rule).splitlines()
    assert lines[0].endswith("better after 7 seeds, all there")
    assert "about 31 seeds, about 3.3 min" in lines[1]


def test_a_study_file_can_ask_for_it_and_its_status_ends_when_all_is_decided(
    tmp_path, monkeypatch, capsys, tiny_protocol
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(
        f"""
        name = "decided"
        tasks = ["majority"]
        architectures = ["mean-pool"]
        scans = ["horizontal", "snake"]
        protocols = ["{tiny_protocol}"]
        decide = {{ margin = 0.02, max_seeds = 20 }}
        timing = false
        device = "cpu"
        executor = {{ kind = "in-process" }}
        """
    )
    assert main(["study", "plan", "s.toml", "--no-probe"]) == 0
    assert "at most 40 final runs" in capsys.readouterr().out
    assert main(["study", "run", "s.toml", "--quiet"]) == 0
    assert "snake against horizontal: equivalent within 0.02, +0.0000" in capsys.readouterr().out
    assert main(["study", "watch", "s.toml"]) == 0
    assert "equivalent after 14 seeds, all there" in capsys.readouterr().out
    assert len(harness.load("decided.sqlite")) < 40


def test_which_cells_are_compared():
    cells = cells_from(["majority"], ["mean-pool", "lstm"], SCANS, ["standard"])
    names = [one.name for one in comparisons_of(cells)]
    assert names == [
        "majority mean-pool: hilbert against horizontal",
        "majority mean-pool: snake against horizontal",
        "majority lstm: hilbert against horizontal",
        "majority lstm: snake against horizontal",
    ]
    assert [one.name for one in comparisons_of(cells, "architecture")][
        0
    ] == "majority horizontal: lstm against mean-pool"
    with pytest.raises(UserError, match="differ in their protocol alone"):
        comparisons_of(cells, "protocol")


def test_python_gives_a_row_a_comparison(tmp_path, tiny_protocol):
    asked = {"task": "majority", "architecture": "mean-pool", "scan": ["horizontal", "snake"], "workers": 0}
    frame = harness.decide(**asked, protocol=tiny_protocol, device="cpu", store=tmp_path / "x.sqlite")
    (row,) = frame.to_dict("records")
    assert (
        row["decision"] == "equivalent"
        and row["seeds"] == 14
        and row["runs"] == len(harness.load(tmp_path / "x.sqlite"))
    )
    assert row["scan_1"].startswith("horizontal") and row["effect"] == 0
