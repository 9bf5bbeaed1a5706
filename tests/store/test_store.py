import errno
import fcntl
import json
import os
import sqlite3
import subprocess
import sys

import pytest

from harness.__main__ import main
from harness.contracts.errors import UserError
from harness.store.dataframe import COLUMNS, load
from harness.store.locks import missing_locks
from harness.store.store import APPLICATION_ID, SCHEMA_VERSION, Store


def record(key: str, **more) -> dict:
    base = {"key": key, "cell": "c", "purpose": "final", "seed": 0, "status": "done", "source": "s"}
    return base | {"device": "cpu", "dtype": "float32", "test_accuracy": 0.5} | more


def test_a_record_comes_back_as_it_was(tmp_path):
    with Store(tmp_path / "r.sqlite") as store:
        store.write(record("a", test_accuracy=0.1 + 0.2, curve={"step": [0, 1]}))
    with Store(tmp_path / "r.sqlite") as store:
        assert store.find("a") == record("a", test_accuracy=0.1 + 0.2, curve={"step": [0, 1]})
        assert store.find("b") is None


def test_the_same_key_is_replaced_and_never_doubled(tmp_path):
    with Store(tmp_path / "r.sqlite") as store:
        store.write(record("a", test_accuracy=0.1))
        store.write(record("a", test_accuracy=0.9))
        assert [r["test_accuracy"] for r in store.records()] == [0.9]


def test_tuning_runs_are_given_on_request_only(tmp_path):
    with Store(tmp_path / "r.sqlite") as store:
        store.write(record("a"))
        store.write(record("b", purpose="tuning"))
        assert [r["key"] for r in store.records()] == ["a"]
        assert [r["key"] for r in store.records(tuning=True)] == ["a", "b"]


@pytest.mark.parametrize("begin", ["empty file", "no rows"])
def test_an_empty_or_half_made_store_loads_as_no_rows_with_all_columns(tmp_path, begin):
    path = tmp_path / "r.sqlite"
    if begin == "empty file":
        path.touch()
    else:
        Store(path).close()
    frame = load(path)
    assert len(frame) == 0
    assert tuple(frame.columns) == COLUMNS


def test_the_latest_timing_is_joined_when_loaded(tmp_path):
    timing = {"cell": "c", "device": "cpu", "dtype": "float32", "setting": "x"}
    with Store(tmp_path / "r.sqlite") as store:
        store.write(record("a"))
        store.write_timings([timing | {"session": "1", "step_seconds": 1.0}])
        store.write_timings([timing | {"session": "2", "step_seconds": 2.0}])
    assert load(tmp_path / "r.sqlite")["step_seconds"].tolist() == [2.0]


def foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE somebody (name TEXT)")


def newer(path):
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def garbage(path):
    path.write_bytes(b"this is no database at all" * 100)


@pytest.mark.parametrize(
    ("make", "words"),
    [(foreign, "another program"), (newer, "update the harness"), (garbage, "cannot be used")],
    ids=["foreign", "newer", "garbage"],
)
def test_what_is_no_store_of_ours_is_refused_in_one_line_and_left_alone(tmp_path, make, words):
    path = tmp_path / "r.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=words) as caught:
        Store(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [foreign, newer, garbage])
@pytest.mark.parametrize("command", ["run", "report", "rerun"])
def test_the_command_line_refuses_it_with_exit_code_2_and_one_line(tmp_path, monkeypatch, capsys, make, command):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "r.sqlite")
    arguments = {"run": ["--store", "r.sqlite"], "report": ["r.sqlite"], "rerun": ["abc", "--store", "r.sqlite"]}
    assert main([command, *arguments[command]]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: store 'r.sqlite'") and len(error.splitlines()) == 1


def refuse(error):
    def fcntl(*_):
        raise OSError(error, os.strerror(error))

    return fcntl


@pytest.mark.parametrize(
    ("fcntl", "reason"),
    [
        (refuse(errno.ENOLCK), "no locks available"),
        (refuse(errno.ENOTSUP), "not supported"),
        (lambda *_: b"", "the same lock was given twice"),
    ],
    ids=["ENOLCK", "ENOTSUP", "locks that lock nothing"],
)
@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="locks of an open file are Linux's")
def test_a_file_system_without_working_locks_is_refused_with_advice(tmp_path, monkeypatch, fcntl, reason):
    monkeypatch.setattr("harness.store.locks.fcntl.fcntl", fcntl)
    with pytest.raises(UserError, match=reason) as caught:
        Store(tmp_path / "r.sqlite")
    assert "local disk" in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []  # the probe is gone too


def test_a_file_system_without_shared_memory_is_refused_with_advice(tmp_path, monkeypatch):
    path = tmp_path / "r.sqlite"
    without_locks = f"file:{path}?vfs=unix-none"  # SQLite's own file system without locks and shared memory
    connect = Store._connect
    monkeypatch.setattr(Store, "_connect", staticmethod(lambda _: connect(without_locks)))
    with pytest.raises(UserError, match="journal mode stays 'delete'.*local disk"):
        Store(path)


def test_locks_that_work_leave_nothing_behind(tmp_path):
    assert missing_locks(tmp_path) is None and list(tmp_path.iterdir()) == []
    assert missing_locks(tmp_path / "nowhere") is None  # whoever opens a file there says what is wrong


def test_a_file_that_cannot_be_written_is_refused_but_read(tmp_path, monkeypatch):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.write(record("a"))
    connect = Store._connect
    read_only = staticmethod(lambda target: connect(target if target.startswith("file:") else f"file:{target}?mode=ro"))
    monkeypatch.setattr(Store, "_connect", read_only)
    with pytest.raises(UserError, match="cannot be used: attempt to write a readonly database"):
        Store(path)
    assert load(path)["key"].tolist() == ["a"]


def test_a_folder_a_missing_folder_and_a_missing_store_are_refused(tmp_path):
    for path, create in ((tmp_path, True), (tmp_path / "no" / "r.sqlite", True), (tmp_path / "r.sqlite", False)):
        with pytest.raises(UserError):
            Store(path, create=create)


WRITER = """
import sys
from harness.store.store import Store
name, path = sys.argv[1:]
with Store(path) as store:
    for number in range(50):
        store.write({"key": f"{name}-{number}", "cell": "c", "purpose": "final", "seed": number, "status": "done",
                     "source": "s", "record": "x" * 2000})
        store.write({"key": f"shared-{number}", "cell": "c", "purpose": "final", "seed": number, "status": "done",
                     "source": "s"})
"""


def test_several_processes_write_one_store_without_losing_or_doubling_anything(tmp_path):
    path = tmp_path / "r.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name, str(path)]) for name in "abcd"]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    with Store(path) as store:
        keys = [r["key"] for r in store.records()]
    assert sorted(keys) == sorted([f"{n}-{i}" for n in [*"abcd", "shared"] for i in range(50)])


def test_a_writer_killed_at_any_moment_loses_nothing_it_had_written(tmp_path):
    script = WRITER.replace('"source": "s"})\n"""', "").replace(
        "    for number in range(50):", "    for number in range(100000):\n        print(number, flush=True)"
    )
    for attempt in range(3):
        path = tmp_path / f"{attempt}.sqlite"
        writer = subprocess.Popen(
            [sys.executable, "-c", script, "a", str(path)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 7 + 5 * attempt:
                writer.kill()
                break
        last = int(line)
        writer.wait()
        writer.stdout.close()
        with Store(path) as store:
            found = {r["key"] for r in store.records()}
        assert {f"a-{number}" for number in range(last)} <= found
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def old_store(path, records):
    """A store as schema 1 had it: the whole record in one text."""
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_SCHEMA)
        for each in records:
            values = [each[name] for name in ("key", "cell", "purpose", "seed", "status", "source")]
            connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", [*values, json.dumps(each)])
        timing = {"session": "1", "cell": "c", "setting": "x", "device": "cpu", "dtype": "float32", "step_seconds": 2.0}
        connection.execute("INSERT INTO timings VALUES (1, '1', 'c', 'x', ?)", (json.dumps(timing),))
    connection.close()


OLD_SCHEMA = f"""
CREATE TABLE runs (
    key TEXT PRIMARY KEY, cell TEXT NOT NULL, purpose TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL,
    source TEXT NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX runs_of_cell ON runs (cell);
CREATE TABLE timings (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, cell TEXT NOT NULL, setting TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (session, cell, setting)
) STRICT;
CREATE INDEX timings_of_cell ON timings (cell);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""
OLD = [
    record("b", selection="untuned", curve={"step": [0, 1]}, test_loss=float("inf")),
    record("a", selection="best of 0.001 0.003 on 2 tuning seeds", seed=1),
    record("t", selection="untuned", purpose="tuning"),
]
UPGRADED = [
    record("b", lr_selection=None, curve={"step": [0, 1]}, test_loss=float("inf")),
    record("a", lr_selection={"rates": [0.001, 0.003], "seeds": 2}, seed=1),
    record("t", lr_selection=None, purpose="tuning"),
]


@pytest.mark.parametrize("writing", [False, True], ids=["read as it is", "brought to today's schema"])
def test_a_store_of_schema_1_is_read_with_everything_it_has(tmp_path, writing):
    path = tmp_path / "r.sqlite"
    old_store(path, OLD)
    before = path.read_bytes()
    if writing:
        with Store(path) as store:
            store.write(record("new"))
    with Store(path, read_only=True) as store:
        new = [record("new")] if writing else []
        assert store.records(tuning=True) == UPGRADED + new
        assert store.records() == UPGRADED[:2] + new
        assert [dict(run) for run in store.runs(tuning=True)] == UPGRADED + new
        assert store.find("a") == UPGRADED[1] and store.find("x") is None
        assert store.statuses(["a", "x"]) == {"a": "done"} and store.keys_like("b") == ["b"]
        assert load(path)["step_seconds"].tolist() == [2.0] * (2 + writing)
    assert writing or path.read_bytes() == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == (2 if writing else 1)


def test_whoever_reads_a_store_of_schema_1_goes_on_when_another_process_brings_it_up(tmp_path):
    path = tmp_path / "r.sqlite"
    old_store(path, OLD)
    with Store(path, read_only=True) as reader:
        assert reader.records() == UPGRADED[:2]
        Store(path).close()
        assert reader.records() == UPGRADED[:2] and reader.find("b") == UPGRADED[0]


def test_two_processes_may_bring_up_a_store_of_schema_1_at_once(tmp_path):
    path = tmp_path / "r.sqlite"
    old_store(path, [record(f"{number}", seed=number, filling="x" * 2000) for number in range(3000)])
    script = "import sys; from harness.store.store import Store; print(len(Store(sys.argv[1]).records()))"
    both = [subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) for _ in range(2)]
    assert [each.communicate(timeout=120)[0].strip() for each in both] == [b"3000"] * 2


def test_bringing_up_a_store_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "r.sqlite"
    old_store(path, OLD)
    monkeypatch.setattr("harness.store.store.split", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Store(path)
    monkeypatch.undo()
    with Store(path, read_only=True) as store:
        assert store.records(tuning=True) == UPGRADED


def test_light_runs_read_their_curves_when_asked_even_after_the_store_is_closed(tmp_path):
    whole = record("a", curve={"step": [0, 1]}, traceback="x" * 1000, grid=[8, 8], machine="m")
    with Store(tmp_path / "r.sqlite") as store:
        store.write(whole)
        store.write(record("b"))
        first, second = store.runs()
        assert first["curve"] == {"step": [0, 1]}
    assert dict(first) == whole and first == whole and len(first) == len(whole)
    assert first["traceback"] == "x" * 1000 and first.get("grid") == [8, 8]
    assert second.get("curve") is None and "curve" not in second
    with pytest.raises(KeyError):
        second["curve"]


def test_what_a_replaced_record_no_longer_has_is_gone(tmp_path):
    with Store(tmp_path / "r.sqlite") as store:
        store.write(record("a", curve={"step": [0, 1]}, machine="m"))
        store.write(record("a"))
        assert store.records() == [record("a")] == [dict(run) for run in store.runs()]


def test_facts_that_runs_share_lie_in_the_file_once(tmp_path):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.write_many(record(str(seed), seed=seed, task="long" * 100, machine="m") for seed in range(50))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM shared").fetchone()[0] == 6
        assert connection.execute("SELECT max(length(light)) FROM runs").fetchone()[0] < 60
