"""Keys of runs, how a rate was chosen as data, and what a text resolves to once a process."""

import pickle

import pytest

from harness.contracts import Scan
from harness.contracts.errors import UserError
from harness.registry import protocols, scans, tasks
from harness.registry.cells import (
    LrSelection,
    Run,
    _task,
    architecture_of,
    cell_from,
    cells_from,
    parse_task,
    protocol_of,
    scan_of,
    task_of,
)

CELL = ("locality2d:height=4,width=4", "mamba", "hilbert", "standard")
GRID = LrSelection(rates=(0.001, 0.003), seeds=2)


def test_the_keys_of_untuned_runs_stay_as_they_were_when_selections_were_texts():
    assert Run(cell=cell_from("locality2d", "mamba", "hilbert", "standard"), seed=0).key == "e3e3dd12b4ce4c42"
    paper = cell_from("majority", "gated-ssm", "horizontal", "paper")
    assert Run(cell=paper, seed=3, purpose="tuning").key == "069991a756590dca"


def test_how_the_rate_was_chosen_is_part_of_what_a_run_is():
    selections = (None, GRID, LrSelection(rates=(0.001, 0.003), seeds=1), LrSelection(rates=(0.001, 0.01), seeds=2))
    runs = [Run(cell=cell_from(*CELL), seed=0, lr_selection=selection) for selection in selections]
    assert len({run.key for run in runs}) == len(set(runs)) == 4


@pytest.mark.parametrize(
    ("record", "selection"),
    [
        ({"lr_selection": None}, None),
        ({"lr_selection": {"rates": [0.001, 0.003], "seeds": 2}}, GRID),
        ({"selection": "untuned"}, None),
        ({"selection": "best of 0.001 0.003 on 2 tuning seeds"}, GRID),
        ({"selection": "best of 0.1 on 1 tuning seed"}, LrSelection(rates=(0.1,), seeds=1)),
    ],
)
def test_records_old_and_new_say_how_the_rate_was_chosen(record, selection):
    assert LrSelection.from_record(record) == selection
    setting = Run(cell=cell_from(*CELL), seed=0, lr_selection=selection).setting
    assert LrSelection.from_record(setting) == selection and "selection" not in setting


def test_a_text_is_resolved_once_whatever_the_number_of_cells_and_seeds(monkeypatch):
    counts = dict.fromkeys(("task", "protocol"), 0)
    for registry in (tasks, protocols):
        parse = type(registry).parse

        def counted(self, text, parse=parse):
            counts[self.axis] += 1
            return parse(self, text)

        monkeypatch.setattr(registry, "parse", counted.__get__(registry))
    task = "locality2d:height=4,width=4,noise=0.123"
    cells = cells_from([task], ["mamba", "gated-ssm"], ["horizontal", "hilbert"], ["standard:steps=77"])
    made = [(task_of(cell), scan_of(cell), protocol_of(cell), architecture_of(cell)) for cell in cells * 3]
    assert len({id(protocol) for _, _, protocol, _ in made}) == 1
    # Cells by their own texts, then once; that once of a task is not counted, `_task` holds the registry's own method.
    assert counts == {"task": len(cells), "protocol": 1 + len(cells)}
    assert _task(cells[0].task) is _task(cells[0].task)
    again = pickle.loads(pickle.dumps(cells[0]))  # what a worker receives: texts and versions alone
    assert again == cells[0] and protocol_of(again) is made[0][2]


def test_an_entry_that_is_registered_anew_is_used_at_once():
    def registered(version):
        @scans.register("test-cells-backwards", version=version)
        def backwards() -> Scan:
            """Backwards."""
            return Scan(orders=(lambda grid: range(grid[0] * grid[1])[:: -1 if version == 1 else 1],))

        return cell_from(CELL[0], "mamba", "test-cells-backwards", "standard")

    try:
        first, second = registered(1), registered(2)
        assert (first.versions[2], second.versions[2]) == (1, 2)
        assert list(scan_of(second).orders[0]((1, 3))) == [0, 1, 2]
    finally:
        scans._entries.pop("test-cells-backwards")


def test_a_task_is_made_anew_since_its_files_may_have_changed():
    assert parse_task("locality2d:height=4,width=4") is not parse_task("locality2d:height=4,width=4")


def test_a_wrong_text_is_wrong_each_time():
    for _ in range(2):
        with pytest.raises(UserError, match="did you mean mamba"):
            cell_from(CELL[0], "mambo", "hilbert", "standard")
