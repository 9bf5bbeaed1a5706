"""Tables and findings from made-up records: what may share a row, a table, a test."""

import json
import random

import pytest

from harness.analysis.scores import scores_of
from harness.analysis.summary import findings_of, rows_of, tables_of
from harness.analysis.tables import (
    accuracy_text,
    caption_of,
    columns_of,
    finding_lines,
    finding_text,
    rate_text,
    render,
    steps_text,
    terminal_table,
)
from harness.registry.cells import LrSelection, Run, cell_from
from harness.store.provenance import source_of

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
                "lr_selection": one.setting["lr_selection"], "status": "done", "reason": None, "test_accuracy": score,
                "mean_validation_accuracy": score, "steps_to_threshold": 100 if score > 0.65 else None, "steps": 500,
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
    grid = LrSelection(rates=(0.001, 0.003, 0.01), seeds=2)
    some = records(scan="horizontal", rate=0.001, lr_selection=grid) + records(rate=0.003, lr_selection=grid)
    tuned, untuned = tables_of(rows_of(some + records(), []))
    assert columns_of(tuned)["rate"] == ["0.001 (edge)", "0.003"]
    assert [row.at_edge for row in tuned] == [True, False]
    assert "tuned per cell on validation: best of 0.001 0.003 0.01 on 2 tuning seeds" in caption_of(tuned)[1]
    assert "rate" not in columns_of(untuned) and rate_text(untuned[0]) == "0.003"
    assert caption_of(untuned)[1] == "one learning rate for all, untuned"
    assert untuned[0].lr_selection is None and not untuned[0].at_edge


def test_records_of_before_selections_were_data_are_read_alike():
    grid = LrSelection(rates=(0.001, 0.003), seeds=1)
    new = records(lr_selection=grid) + records("gru")
    old = [{name: value for name, value in record.items() if name != "lr_selection"} for record in new]
    for record in old:
        tuned = record["architecture"].startswith("mean-pool")
        record["selection"] = "best of 0.001 0.003 on 1 tuning seed" if tuned else "untuned"
    assert [row.table for row in rows_of(old, [])] == [row.table for row in rows_of(new, [])]
    assert rows_of(old, [])[0].lr_selection == grid


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


def test_a_run_that_diverged_counts_as_chance_and_is_shown():
    some = records(scores=(0.6, 0.7, 0.8))
    some[2] |= {"status": "diverged", "reason": "loss inf at step 7", "test_accuracy": None, "steps_to_threshold": None}
    (row,) = rows_of(some, [])
    assert row.scores == {0: 0.6, 1: 0.7, 2: 0.5} and row.aulc.mean == pytest.approx(0.6)
    assert accuracy_text(row).endswith("(n=3); 1 diverged")
    assert "a run that diverged counts as chance" in caption_of([row])
    assert steps_text(row) == ">500 (1/3)"
    (found,) = findings_of(rows_of(records(scan="horizontal", scores=(0.5, 0.5, 0.5)) + some, []))
    assert (found.left_out, found.diverged, found.comparison.effect.n) == (0, 1, 3)
    assert ", 1 diverged: " in finding_text(found)


def test_a_run_that_diverged_before_it_noted_anything_counts_as_the_chance_of_its_task():
    gone = {"status": "diverged", "reason": "loss inf at step 1", "test_accuracy": None, "chance_accuracy": None}
    some = [record | gone for record in records()]
    (row,) = rows_of(some, [])
    assert row.scores == {0: 0.5, 1: 0.5} and row.accuracy.mean == 0.5
    assert accuracy_text(row).endswith("(n=2); 2 diverged: loss inf at step 1")
    unknown = [record | {"task": "somebody-elses"} for record in some]
    assert scores_of(unknown) == {} and accuracy_text(rows_of(unknown, [])[0]).startswith("2 diverged")


def test_runs_that_failed_have_no_score_and_take_no_part():
    some = records(scores=(0.6, 0.7, 0.8))
    for record, status in zip(some[1:], ("failed", "out-of-memory"), strict=True):
        record |= {"status": status, "reason": "as asked", "test_accuracy": None, "steps_to_threshold": None}
    (row,) = rows_of(some, [])
    assert row.scores == {0: 0.6}
    assert accuracy_text(row) == "0.600 (n=1); 1 failed, 1 out-of-memory"
    assert steps_text(row) == ">500 (0/1)"
    (found,) = findings_of(rows_of(records(scan="horizontal", scores=(0.5, 0.5, 0.5)) + some, []))
    assert found.left_out == 4 and "left out" in finding_text(found)


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
    assert "significantly different, p=0.00195" in lines[1]


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


def test_the_printed_table_is_plain_aligned_and_complete_at_any_width():
    some = [record | {"kernel": f"mamba-ssm 2/path {record['seed']}"} for record in records() + records("gru")]
    columns = columns_of(rows_of(some, []))
    lines = terminal_table(columns).splitlines()
    assert len(lines) == 4 and lines[0].split()[:2] == ["architecture", "scan"] and set(lines[1]) == {"-", " "}
    start = lines[0].index("AULC") + len("AULC")
    assert all(line[start - 5 : start] == "0.650" for line in lines[2:])  # numbers stand to the right
    assert terminal_table({"a": ["x [bold] :smile:"]}).splitlines()[-1] == "x [bold] :smile:"
    narrow = terminal_table(columns, width=60)
    assert max(map(len, narrow.splitlines())) <= 60 and "kernel that ran\n  mean-pool: mamba-ssm 2/path 0" in narrow
    letters = "".join(narrow.partition("kernel that ran")[0].split())
    assert all(letters.count(part) >= 2 for part in ("(n=2)", "0.650"))


def test_findings_are_lists_in_markdown_and_indented_in_the_terminal():
    some = [r for scan in ("horizontal", "hilbert", "random") for r in records(scan=scan)]
    findings = findings_of(rows_of(some, []))
    terminal, markdown = finding_lines(findings), finding_lines(findings, markdown=True)
    assert [line[:2] for line in terminal] == ["ho", "  ", "ot", "  ", "  "]
    assert [line[:2] for line in markdown] == ["ho", "", "- ", "", "ot", "", "- ", "- "]
    assert [line.strip(" -") for line in markdown if line] == [line.strip() for line in terminal]
