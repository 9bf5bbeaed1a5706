"""What a command says of stale and failed runs at its end, and its exit code."""

from harness.running.ending import SHOWN, report_failures
from harness.running.runner import Outcome


def record(seed, status, reason=""):
    return {
        "task": "majority", "architecture": "mamba", "scan": "hilbert", "seed": seed, "status": status,
        "reason": reason, "key": f"k{seed}",
    }  # fmt: skip


def test_nothing_to_say(capsys):
    unsupported = Outcome(records=[record(0, "done"), record(1, "unsupported"), record(2, "diverged")])
    assert report_failures(unsupported, "r.sqlite") == 0
    assert capsys.readouterr() == ("", "")


def test_stale_runs_are_counted_once(capsys):
    assert report_failures(Outcome(stale=["a", "b", "b"]), "r.sqlite") == 0
    found = capsys.readouterr()
    assert found.out == "" and found.err.startswith("warning: 2 runs in r.sqlite") and "--overwrite" in found.err


def test_failed_runs_are_told_with_how_to_see_them_again(capsys):
    late = [record(SHOWN, "out-of-memory"), record(SHOWN + 1, "done")]
    outcome = Outcome(records=[*(record(n, "failed", "why") for n in range(SHOWN)), *late])
    assert report_failures(outcome, "r.sqlite") == 1
    lines = capsys.readouterr().err.splitlines()
    told = "failed: majority mamba hilbert seed 0: why (run k0; see: python -m harness rerun k0 --store r.sqlite)"
    assert lines[0] == told and len(lines) == SHOWN + 1
    assert lines[-1] == "and 1 more failed runs: python -m harness export r.sqlite -o runs.csv"
