"""Piece after piece: resumed, stopped, broken and killed."""

import json
import sys
import time
from dataclasses import replace

import pytest

from harness.contracts.errors import UserError
from harness.gpu import runner
from harness.gpu.bench import Bench
from harness.gpu.pieces import PIECE_MINUTES, Row, add
from harness.gpu.results import DONE, FAILED, UNFINISHED, begin, read, read_all, write
from harness.gpu.runner import in_process_of_its_own, in_this_process, run_pieces


def run(pieces, bench, folder, **options):
    return run_pieces(pieces, bench, folder, start=in_this_process, **options)


def breaks(bench):
    yield Row(case="first", passed=True, found="fine")
    raise ZeroDivisionError("broke here\nwith more")


def test_a_piece_that_breaks_keeps_its_rows_and_stops_no_other(bench, make_piece, tmp_path):
    outcome = run([make_piece("bad", breaks), make_piece("good")], bench, tmp_path)
    assert [(result.piece, result.status) for result in outcome.results] == [("bad", FAILED), ("good", DONE)]
    bad = read(tmp_path, "bad")
    assert bad.reason == "ZeroDivisionError: broke here"
    assert [row.case for row in bad.rows] == ["first"]
    assert [result.piece for result in outcome.bad] == ["bad"]


def test_what_is_finished_is_not_done_again_and_what_failed_is_tried_last(bench, make_piece, tmp_path):
    calls = []
    pieces = [make_piece("bad", breaks, calls=calls), make_piece("good", calls=calls)]
    run(pieces, bench, tmp_path)
    later = [*pieces, make_piece("new", calls=calls)]
    calls.clear()
    outcome = run(later, bench, tmp_path)
    assert calls == ["new", "bad"]
    assert {result.piece for result in outcome.results} == {"bad", "good", "new"}
    calls.clear()
    run(later, bench, tmp_path, again=True)
    assert sorted(calls) == ["bad", "good", "new"]


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "of yesterday"},
        {"card": "another card"},
        {"device": "cuda"},
        {"small": False},
        {"versions": {"torch": "1.0"}},
        {"status": UNFINISHED},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_result_of_other_code_or_another_device_is_made_anew(bench, make_piece, tmp_path, changed):
    calls = []
    piece = make_piece("one", calls=calls)
    run([piece], bench, tmp_path)
    run([piece], bench, tmp_path)
    assert calls == ["one"]
    write(tmp_path, replace(read(tmp_path, "one"), **changed))
    run([piece], bench, tmp_path)
    assert calls == ["one", "one"]


def test_another_source_of_what_it_tests_is_another_hash(make_piece):
    one, other = (make_piece("one", modules=(name,)).source for name in ("harness.gpu.bench", "harness.gpu.mixers"))
    assert one != other
    both = make_piece("one", modules=("harness.gpu.bench", "harness.architectures.min_gru"))
    assert both.source not in (one, other)


def test_a_call_begins_no_piece_that_it_has_no_time_for(bench, make_piece, tmp_path):
    pieces = [make_piece("short", minutes=0.5), make_piece("long", minutes=5.0), make_piece("other", minutes=1.0)]
    outcome = run(pieces, bench, tmp_path, minutes=2)
    assert [result.piece for result in outcome.results] == ["short", "other"]
    assert [piece.name for piece in outcome.left] == ["long"]
    assert read(tmp_path, "long") is None


def test_a_piece_may_be_given_no_more_time_than_a_call_has_left(bench, make_piece, tmp_path):
    given = []

    def start(piece, bench, folder, seconds):
        given.append(seconds)
        return in_this_process(piece, bench, folder, seconds)

    run_pieces([make_piece("one")], bench, tmp_path, minutes=3, start=start)
    run_pieces([make_piece("two")], bench, tmp_path, start=start)
    assert 170 < given[0] <= 180 and given[1] == 60 * PIECE_MINUTES


def test_a_piece_expected_to_take_too_long_is_refused(make_piece):
    with pytest.raises(ValueError, match="to take 9 minutes, over 8; split it"):
        add(make_piece("endless", minutes=9.0))


def test_a_piece_runs_in_a_process_of_its_own(tmp_path, bench):
    from harness.gpu.catalogue import find_piece

    (result,) = run_pieces([find_piece("architecture-identity")], bench, tmp_path).results
    assert result.is_right, result.verdict
    assert result == read(tmp_path, "architecture-identity")
    assert json.loads((tmp_path / "architecture-identity.json").read_text())["rows"][0]["passed"] is True


STANDS = """
import sys, time
from pathlib import Path
from harness.gpu.bench import Bench
from harness.gpu.pieces import Piece, Row
from harness.gpu.results import begin, write

piece = Piece(name="one", title="", minutes=1, run=None, modules=("harness.gpu.bench",))
result = begin(piece, Bench(device="cpu", small=True))
result.rows.append(Row(case="before", passed=True, found=""))
write(Path(sys.argv[1]), result)
"""


@pytest.mark.parametrize(
    ("ending", "seconds", "said"),
    [
        ("time.sleep(600)", 0.3, "stopped after 0.0 minutes"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 60.0, "SIGSEGV"),
        ("sys.exit(3)", 60.0, "exit code 3; one.log has what it said"),
    ],
    ids=["hangs", "crashes", "leaves"],
)
def test_a_process_that_hangs_or_dies_leaves_a_failed_result(
    bench, make_piece, tmp_path, monkeypatch, ending, seconds, said
):
    script = tmp_path / "stands.py"
    script.write_text(STANDS + ending)
    popen = runner.subprocess.Popen

    def start(command, **options):  # the script in place of the piece
        return popen([sys.executable, str(script), str(tmp_path)], **options)

    monkeypatch.setattr(runner.subprocess, "Popen", start)
    piece, began = make_piece("one"), time.monotonic()
    if ending.startswith("time"):  # until its row is there, however busy the machine is
        monkeypatch.setattr(runner.subprocess, "Popen", lambda command, **options: _started(start, tmp_path, options))
    result = in_process_of_its_own(piece, bench, tmp_path, seconds)
    assert result.status == FAILED and said in result.reason
    assert [row.case for row in result.rows] == ["before"]
    assert read(tmp_path, "one") == result
    assert time.monotonic() - began < 120


def _started(start, folder, options):
    process = start(None, **options)
    while not (folder / "one.json").exists() or '"before"' not in (folder / "one.json").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_a_process_that_dies_at_once_does_not_leave_the_old_result(bench, make_piece, tmp_path):
    piece = make_piece("one")  # no piece of the catalogue: its process ends before it writes
    run([piece], bench, tmp_path)
    assert read(tmp_path, "one").status == DONE
    result = in_process_of_its_own(piece, bench, tmp_path, 60.0)
    assert (result.status, result.rows) == (FAILED, []) and "exit code" in result.reason


def test_a_result_is_written_whole_or_not_at_all(bench, make_piece, tmp_path, monkeypatch):
    result = begin(make_piece("one"), bench)
    write(tmp_path, result)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        write(tmp_path, replace(result, status=DONE))
    assert read(tmp_path, "one").status == UNFINISHED
    assert [found.piece for found in read_all(tmp_path)] == ["one"]


@pytest.mark.parametrize("text", ["", "[]", '{"piece": "one"}', '{"rows": [{"what": 1}]}'])
def test_a_file_that_is_no_result_is_named(tmp_path, text):
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(UserError, match="one.json is no result"):
        read(tmp_path, "one")


def test_a_bench_of_a_gpu_has_tf32():
    assert Bench(device="cuda").dtypes == ("float32", "tf32", "bfloat16")
    assert Bench(device="cpu").dtypes == ("float32", "bfloat16")
