"""`rerun`: why a store answers for a run or does not, and the run again."""

import pytest
import torch

import harness
from harness.__main__ import main
from harness.commands.rerun import explanation
from harness.store.store import Store

REQUEST = {"task": "locality2d:height=4,width=4", "architecture": "mean-pool", "scan": "hilbert", "seeds": 1}


@pytest.fixture
def stored(tmp_path, tiny_protocol, monkeypatch):
    """Changes the one record of a fresh store, and gives its key."""
    monkeypatch.chdir(tmp_path)
    options = {"device": "cpu", "store": "results.sqlite", "workers": 0, "timing": False}
    harness.run(**REQUEST, protocol=tiny_protocol, **options)

    def change(**values):
        with Store("results.sqlite") as store:
            (record,) = store.records()
            store.write(record | values)
        return record["key"]

    return change


def told(capsys, *arguments, code=0):
    assert main(["rerun", *arguments]) == code
    return capsys.readouterr().out


def test_a_run_that_nothing_has_touched_is_explained_as_a_hit(stored, capsys):
    out = told(capsys, stored()[:8], "--explain")
    assert "done already, same key, nothing differs; the same command answers from the store" in out
    assert len(out.splitlines()) == 2 and "now" not in out


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "another"}, ["by other source", "shows it as stale", "source "]),
        ({"torch_version": "1.0"}, ["answers from the store, though there differ", "torch_version", "stored 1.0"]),
        ({"machine": "an abacus"}, ["answers from the store", "machine", "stored an abacus"]),
        ({"commit": "abc", "dirty": True}, ["answers from the store", "commit", "stored abc"]),
        ({"replicas": 8}, ["answers from the store", "replicas", "stored 8", "now 1"]),
        ({"status": "failed", "reason": "as asked"}, ["failed: as asked; the same command runs it again"]),
        ({"status": "diverged", "reason": "loss inf"}, ["diverged already, same key, nothing differs"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_differs_is_named_with_both_values_and_what_follows(stored, capsys, values, words):
    out = told(capsys, stored(**values), "--explain")
    for word in words:
        assert word in out, out


def test_versions_that_rose_give_another_key_today(stored, capsys, monkeypatch):
    key = stored()
    with Store("results.sqlite") as store:
        record = store.find(key)
        store.write(record | {"key": "0123456789abcdef", "versions": [0, 0, 0, 0]})
    out = told(capsys, "0123", "--explain")
    assert "versions of its entries or of the harness have risen since ([0, 0, 0, 0], now [" in out
    assert f"its key is {key} today; the same command runs it anew" in out


def test_a_run_again_is_compared_number_by_number(stored, capsys):
    out = told(capsys, stored()[:8], "--quiet")
    assert "nothing differs" in out and out.rstrip().endswith("the same, bit for bit")
    out = told(capsys, stored(test_accuracy=2.0, machine="an abacus"), "--quiet", "--replace")
    assert "test_accuracy        stored 2.0" in out and "<- differs" in out
    assert "it differs; of the environment differ: machine" in out
    assert harness.load("results.sqlite")["test_accuracy"][0] <= 1  # replaced


@pytest.mark.parametrize(
    ("key", "words"), [("no-such-key", "no run begins so"), ("", "2 runs begin so")], ids=["none", "several"]
)
def test_a_key_that_names_no_single_run_is_a_mistake(stored, capsys, key, words):
    stored(key="fedcba9876543210")
    assert main(["rerun", key]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA GPU is there")
def test_a_run_of_a_device_that_is_not_there_is_one_line(stored, capsys):
    assert main(["rerun", stored(device="cuda")]) == 2
    assert "cuda is not there" in capsys.readouterr().err


def test_a_tuned_run_of_before_rates_were_hashed_as_numbers_has_another_key_today():
    old = {"status": "done", "key": "a", "versions": [1, 1, 1, 1], "selection": "best of 0.1 0.3 on 2 tuning seeds"}
    now = {"versions": [1, 1, 1, 1], "lr_selection": {"rates": [0.1, 0.3], "seeds": 2}}
    assert "before keys held tuned rates as numbers, so that its key is b today" in explanation(old, "b", now)[0]
