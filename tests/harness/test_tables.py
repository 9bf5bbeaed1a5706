"""Tables and findings from made-up records: what may share a row, a table, a test."""

import json
import random

import pytest

from harness.cells import UNTUNED, Run, cell_from
from harness.provenance import source_of
from harness.summary import findings_of, rows_of, tables_of
from harness.tables import accuracy_text, caption_of, columns_of, finding_lines, rate_text, render, steps_text

TASK = "locality2d:height=4,width=4"


def records(architecture="mean-pool", scan="hilbert", rate=0.003, scores=(0.6, 0.7), **run):
    cell = cell_from(TASK, architecture, scan, f"standard:learning_rate={rate}")
    made = []
    for seed, score in enumerate(scores):
        one = Run(cell=cell, seed=seed, **run)
        made.append(
            {
                "key": one.key, "cell": cell.key, "task": cell.task, "architecture": cell.architecture,
                "scan": cell.scan, "protocol": cell.protocol, "seed": seed, "device": one.device, "dtype": one.dtype,
                "selection": one.selection, "status": "done", "reason": None, "test_accuracy": score,
                "curve_area": score, "steps_to_threshold": 100 if score > 0.65 else None, "steps": 500,
                "learning_rate": rate, "parameters": 10, "kernel": "torch 1/eager", "source": source_of(cell),
                "grid": [4, 4], "classes": 2, "chance_accuracy": 0.5, "threshold_accuracy": 0.75,
            }
        )  # fmt: skip
    return made


def timing(record, session="1", **more):
    facts = {"cell": record["cell"], "device": record["device"], "dtype": record["dtype"], "session": session}
    return facts | {"train_tokens_per_second": 1000.0, "peak_bytes": 2**20, "speed_note": None} | more


def test_number_formats_are_never_pooled():
    rows = rows_of(records() + records(dtype="bfloat16"), [])
    assert [row.done for row in rows] == [2, 2]
    assert len(tables_of(rows)) == 2


def test_a_speed_belongs_to_its_number_format():
    float32, bfloat16 = records(), records(dtype="bfloat16")
    rows = rows_of(float32 + bfloat16, [timing(float32[0])])
    assert ["train_tokens_per_second" in row.speed for row in rows] == [True, False]


def test_untuned_rates_do_not_share_a_table_and_are_not_tested_against_each_other():
    some = [r for rate in (0.001, 0.1) for scan in ("horizontal", "hilbert") for r in records(scan=scan, rate=rate)]
    rows = rows_of(some, [])
    assert [len(table) for table in tables_of(rows)] == [2, 2]
    assert len(findings_of(rows)) == 2


def test_tuned_cells_share_a_table_with_their_rates_and_not_with_untuned_ones():
    grid = "best of 0.001 0.003 0.01 on 2 tuning seeds"
    some = records(scan="horizontal", rate=0.001, selection=grid) + records(rate=0.003, selection=grid) + records()
    tuned, untuned = tables_of(rows_of(some, []))
    assert columns_of(tuned)["rate"] == ["0.001 (edge)", "0.003"]
    assert "tuned per cell" in caption_of(tuned)[1]
    assert "rate" not in columns_of(untuned) and rate_text(untuned[0]) == "0.003"
    assert caption_of(untuned)[1] == "one learning rate for all, untuned"
    assert untuned[0].selection == UNTUNED


def test_speeds_of_another_session_are_marked():
    first, second, third = (records(name) for name in ("mean-pool", "gated-ssm", "mamba"))
    timings = [timing(first[0]), timing(second[0]), timing(third[0], session="2")]
    rows = rows_of(first + second + third, timings)
    assert [row.speed["speed_note"] for row in rows] == [None, None, "another session"]


def test_stale_runs_are_marked_and_take_no_part_in_findings():
    old = [record | {"source": "another"} for record in records(scan="horizontal")]
    rows = rows_of(old + records(), [])
    assert "stale" in accuracy_text(rows[0])
    assert "stale" not in accuracy_text(rows[1])
    assert findings_of(rows) == []


def test_runs_without_an_accuracy_are_counted_and_never_averaged_away():
    some = records(scores=(0.6, 0.7, 0.8))
    some[2] |= {"status": "diverged", "reason": "loss inf at step 7", "test_accuracy": None, "steps_to_threshold": None}
    (row,) = rows_of(some, [])
    assert accuracy_text(row).endswith("(n=2); 1 diverged")
    assert steps_text(row) == ">500 (1/3)"
    findings = findings_of(rows_of(records(scan="horizontal", scores=(0.5, 0.5, 0.5)) + some, []))
    assert findings[0].left_out == 2  # the diverged run and its partner
    assert "left out" in findings[0].text


def test_horizontal_against_hilbert_is_the_primary_family_whatever_the_order_of_scans():
    draw = random.Random(0)
    some = []
    for scan, level in (("hilbert", 0.8), ("random", 0.5), ("horizontal", 0.7)):
        some += records(scan=scan, scores=[level + draw.uniform(-0.02, 0.02) for _ in range(10)])
    findings = findings_of(rows_of(some, []))
    assert [(f.primary, f.family) for f in findings] == [(True, 1), (False, 2), (False, 2)]
    assert (findings[0].first, findings[0].second) == ("horizontal", "hilbert")
    assert findings[0].comparison.effect.mean == pytest.approx(0.1, abs=0.02)
    lines = finding_lines(findings)
    assert "declared beforehand" in lines[0]
    assert "difference, p=0.00195" in lines[1]


def test_an_entry_that_is_not_loaded_here_is_shown_by_its_canonical_text():
    some = [record | {"architecture": "somebody-elses:size=3"} for record in records()]
    rows = rows_of(some, [])
    assert rows[0].stale  # nothing here can vouch for it
    assert "somebody-elses:size=3" in render(rows, [], form="table")


def test_json_is_json_even_for_a_single_seed():
    rows = rows_of(records(scores=(0.6,)), [])
    cells = json.loads(render(rows, [], form="json"))["cells"]
    assert cells[0]["test_accuracy_low"] is None
    assert cells[0]["test_accuracy"] == 0.6


def test_what_mixing_costs_stands_in_every_format_but_the_printed_table():
    some = [record | {"flops_per_token": 1536.5, "state_size": 64} for record in records("gru")]
    rows = rows_of(some + records(), [])  # records of before the columns have none
    assert "FLOP" not in render(rows, [], form="table") and not {"state", "mixing FLOP/tok"} & columns_of(rows).keys()
    header, _, first, second = render(rows, [], form="markdown").splitlines()[-4:]
    assert header.endswith("| mixing FLOP/tok | state |") and first.endswith("| 1,536 | 64 |")
    assert second.endswith("|  |  |")
    cells = json.loads(render(rows, [], form="json"))["cells"]
    assert [(cell["flops_per_token"], cell["state_size"]) for cell in cells] == [(1536.5, 64), (None, None)]
    assert "state_size,flops_per_token" in render(rows, [], form="csv").splitlines()[0]
    assert "mixing FLOP/tok" not in render(rows_of(records(), []), [], form="markdown")
