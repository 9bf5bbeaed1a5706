import errno
import fcntl
import os
import sqlite3
import subprocess
import sys

import pytest

from harness.__main__ import main
from harness.errors import UserError
from harness.file_locks import missing_locks
from harness.frame import COLUMNS, load
from harness.store import SCHEMA_VERSION, Store


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
    monkeypatch.setattr("harness.file_locks.fcntl.fcntl", fcntl)
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
from harness.store import Store
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
