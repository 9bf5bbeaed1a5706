"""Records travel: what is exported and imported again is the same, and what is wrong is refused with a line each."""

import json
import math

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import harness
from harness.__main__ import main
from harness.contracts.outcome import Status
from harness.registry.cells import Cell, LrSelection, Run
from harness.store.packing import GROUP_OF, text_of
from harness.store.record import FIELDS, RECORD_SCHEMA, RECORD_VERSION, problems_of
from harness.store.store import Store

SHARE = {"lr_selection": None, "purpose": "final", "device": "cpu", "dtype": "float32", "threads": 1}


def record(seed=0, task="majority:dim=32", scan="horizontal", **more):
    """A valid record."""
    specs = {"task": task, "architecture": "gru", "scan": scan, "protocol": "standard:steps=4"}
    setting = SHARE | {"seed": seed} | {name: more[name] for name in SHARE if name in more}
    chosen = setting["lr_selection"] and LrSelection.from_record(setting)
    run = Run(cell=Cell(**specs, versions=(1, 1, 1, 1)), **setting | {"lr_selection": chosen})
    keys = {"key": run.key, "cell": run.cell.key, "versions": [1, 1, 1, 1], "source": "0123456789abcdef"}
    facts = {"status": "done", "reason": None, "test_accuracy": 0.5, "started_at": "2026-01-01T00:00:00+00:00"}
    version = {"record_schema": RECORD_SCHEMA, "record_version": RECORD_VERSION}
    return specs | setting | keys | facts | version | more


def timing(record, **more):
    place = {name: record[name] for name in ("cell", "device", "dtype")}
    return place | {"session": "s", "setting": "cpu", "step_seconds": 0.1, "relative_error": math.nan} | more


def filled(path, records, timings=()):
    with Store(path) as store:
        store.write_many(records)
        store.write_timings(timings)


def everything(path):
    with Store(path, read_only=True) as store:
        return store.records(tuning=True), store.timings()


NUMBERS = st.none() | st.floats() | st.integers(-(2**70), 2**70)
NESTED = st.recursive(
    NUMBERS | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: not (isinstance(value, dict) and value.keys() == {"float"}))
RECORDS = st.lists(
    st.builds(
        lambda seed, status, task, purpose, chosen, fields: record(
            seed, task, purpose=purpose, lr_selection=chosen, status=status, **fields
        ),
        st.integers(0, 3),
        st.sampled_from(list(map(str, Status))),
        st.text(min_size=1, max_size=5),
        st.sampled_from(["final", "tuning"]),
        st.sampled_from([None, {"rates": [0.001, 0.003], "seeds": 2}]),
        st.fixed_dictionaries(
            {"test_accuracy": st.floats(0, 1)},
            optional={
                "reason": st.none() | st.text(max_size=9),
                "test_loss": NUMBERS,
                "steps": st.none() | st.integers(-(2**70), 2**70),
                "dirty": st.none() | st.booleans(),
                "machine": st.none() | st.text(max_size=5),
                "grid": st.none() | st.lists(st.integers(), max_size=2),
                "curve": NESTED,
                "own of a protocol": NUMBERS,
                "traceback": st.text("ab\n", min_size=501, max_size=510),
            },
        ),
    ),
    max_size=6,
)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking writes thousands of files
@given(records=RECORDS, count=st.integers(0, 2))
def test_export_import_export_gives_the_same_bytes_and_the_same_records(tmp_path_factory, suffix, records, count):
    folder = tmp_path_factory.mktemp("x")
    first, second, store, again = (folder / name for name in (f"1.{suffix}", f"2.{suffix}", "1.sqlite", "2.sqlite"))
    filled(store, records, [timing(each, session=str(n)) for n in range(count) for each in records[:1]])
    assert main(["export", str(store), "-o", str(first), "--tuning"]) == 0
    assert main(["import", str(first), "-o", str(again)]) == 0
    assert main(["export", str(again), "-o", str(second), "--tuning"]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert text_of(everything(store)) == text_of(everything(again))  # nan is not equal to itself
    beside = [path.with_suffix(f".timings.{suffix}") for path in (first, second)]
    assert [path.exists() for path in beside] == [bool(records and count)] * 2
    if records and count:
        assert beside[0].read_bytes() == beside[1].read_bytes()
    if suffix == "jsonl":
        for line in first.read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)  # plain JSON: no NaN


def test_importing_twice_skips_and_other_content_is_refused_unless_asked(tmp_path, capsys):
    filled(tmp_path / "a.sqlite", [record(0), record(1)], [timing(record())])
    file, store = str(tmp_path / "a.jsonl"), str(tmp_path / "b.sqlite")
    assert main(["export", str(tmp_path / "a.sqlite"), "-o", file]) == 0
    filled(store, [record(0, test_accuracy=0.25)], [timing(record(), step_seconds=9.0)])
    assert main(["import", file, "-o", store]) == 2
    said = capsys.readouterr().err
    assert "refused: a.jsonl row 1: the store has it with other content (test_accuracy); --overwrite" in said
    assert "refused: a.timings.jsonl row 1: the store has it with other content (step_seconds)" in said
    assert "runs of a.jsonl: 1 written, 1 refused" in said
    assert [each["test_accuracy"] for each in everything(store)[0]] == [0.25, 0.5]
    assert main(["import", file, "-o", store, "--overwrite"]) == 0
    assert "0 written, 1 replaced, 1 there already" in capsys.readouterr().err
    assert sorted(each["test_accuracy"] for each in everything(store)[0]) == [0.5, 0.5]
    assert [row["step_seconds"] for row in everything(store)[1]] == [0.1]
    assert main(["import", file, "-o", store]) == 0
    assert "0 written, 2 there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "great"}, "field 'status': 'great'; must be one of done"),
        ({"seed": -1}, "field 'seed': -1; must be at least 0"),
        ({"seed": "1"}, "field 'seed': '1'; must be of type int"),
        ({"threads": True}, "field 'threads': True; must be of type int"),
        ({"test_accuracy": 1.5}, "field 'test_accuracy': 1.5; must be from 0 to 1"),
        ({"test_accuracy": None}, "field 'test_accuracy': missing; must be a number where status is 'done'"),
        ({"task": None}, "field 'task': missing"),
        ({"purpose": "fun"}, "field 'purpose': 'fun'; must be final or tuning"),
        ({"key": "x"}, "field 'key': 'x'; must be 16 hexadecimal digits"),
        ({"versions": [1, 2]}, "field 'versions': [1, 2]; must be four whole numbers"),
        ({"scan": "hilbert"}, "the hash of its specs and setting"),
        ({"record_schema": RECORD_SCHEMA + 1}, "update the harness"),
    ],
)
def test_what_does_not_validate_is_refused_with_row_field_value_and_rule(tmp_path, capsys, change, words):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(record(0)) + "\n" + json.dumps(record(1) | change) + "\nnot json\n[1]\n")
    assert main(["import", str(file), "-o", str(tmp_path / "b.sqlite")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("refused: a.jsonl row 2: ") and words in line for line in lines), lines
    assert lines[-3].startswith("refused: a.jsonl row 3: no JSON") and "row 4: no JSON object" in lines[-2]
    assert lines[-1].endswith("1 written, 3 refused")
    assert len(everything(tmp_path / "b.sqlite")[0]) == 1


@pytest.mark.parametrize("name", ["missing.jsonl", "x.csv", "garbage.parquet", "foreign.parquet"])
def test_a_file_that_is_none_of_ours_is_refused_in_one_line_and_makes_no_store(tmp_path, capsys, name):
    (tmp_path / "garbage.parquet").write_bytes(b"nothing" * 50)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "foreign.parquet")
    assert main(["import", str(tmp_path / name), "-o", str(tmp_path / "b.sqlite")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1
    assert not (tmp_path / "b.sqlite").exists()


def test_a_record_of_another_version_of_what_runs_do_keeps_the_key_it_has(tmp_path):
    assert problems_of(record(record_version=0) | {"scan": "hilbert"}) == []


def test_shared_fields_are_fields_that_files_have_columns_for():
    assert GROUP_OF.keys() <= FIELDS.keys()


def test_csv_holds_the_curves_as_text(tmp_path):
    filled(tmp_path / "a.sqlite", [record(0, curve={"step": [0, 1]}), record(1)])
    assert main(["export", str(tmp_path / "a.sqlite"), "-o", str(tmp_path / "a.csv")]) == 0
    assert pd.read_csv(tmp_path / "a.csv")["more"].tolist() == ['{"curve":{"step":[0,1]}}', "{}"]


def test_a_frame_has_curves_on_request_only(tmp_path):
    filled(tmp_path / "a.sqlite", [record(0, curve={"step": [0, 1]})])
    assert "curve" not in harness.load(tmp_path / "a.sqlite")
    assert harness.load(tmp_path / "a.sqlite", curves=True)["curve"].tolist() == [{"step": [0, 1]}]
