"""Trivial controls: what they score where the answer is known, and how tables show them."""

import json
import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from harness.__main__ import main
from harness.analysis.controls import control_line
from harness.contracts import IGNORE_INDEX
from harness.registry import tasks
from harness.training import controls as room
from harness.training.controls import controls, controls_of
from harness.training.data import Data


def found_of(spec, **more):
    text = tasks.canonical(spec)
    return controls(tasks.parse(text)[0].create(tasks.parse(text)[1]), spec=text, **more)


def test_digits_are_what_scikit_learn_makes_of_them():
    text = tasks.canonical("digits")
    entry, values = tasks.parse(text)
    data, found = Data(entry.create(values), spec=text, seed=0), controls_of(text)
    (x, y), (inputs, answers) = (
        (samples.batch(np.arange(len(samples))).tokens.reshape(len(samples), -1), samples.target)
        for samples in (data.samples("train", 4000), data.samples("test", 2000))
    )
    assert found["logistic_regression"] == LogisticRegression(max_iter=100).fit(x, y).score(inputs, answers)
    assert found["nearest_neighbour"] == KNeighborsClassifier(1, algorithm="brute").fit(x, y).score(inputs, answers)
    assert found["majority"] == np.mean(answers == np.bincount(y).argmax())
    assert found["logistic_regression"] > 0.93  # what is known of this set


def test_a_bag_tells_majorities_and_no_places():
    assert found_of("majority")["bag_of_tokens"] > 0.95
    locality = found_of("locality")
    assert all(abs(locality[name] - 0.5) < 0.06 for name in ("majority", "bag_of_tokens", "logistic_regression"))


def test_a_lookup_table_is_learned_by_logistic_regression_on_ids():
    found = found_of("mad-memorize:length=8,vocabulary=20")
    assert found["logistic_regression"] == 1.0 and found["majority"] < 0.2


def test_what_the_next_token_would_tell_is_not_shown():
    """In-context recall: a control that saw the cell behind the key would read the answer there."""
    text = tasks.canonical("mad-in-context-recall:length=8")
    entry, values = tasks.parse(text)
    flat = room._examples(Data(entry.create(values), spec=text, seed=0), "test", 50, 100).flat.toarray()
    by_distance = flat.reshape(len(flat), 13, 16).sum(axis=(0, 2))
    assert by_distance[6] == len(flat) and not by_distance[7:].any()
    assert found_of("copying")["logistic_regression"] < 0.1


def test_an_example_is_the_sequence_as_seen_from_the_cell_that_is_asked():
    text = tasks.canonical("selective-copy:length=8,tokens=2,vocabulary=5,embedding=trained")
    entry, values = tasks.parse(text)
    task = entry.create(values)
    data = Data(task, spec=text, seed=0)
    batch = data.samples("test", 3).batch(np.arange(3))
    examples = room._examples(data, "test", 3, 100)
    flat, bag = examples.flat.toarray().reshape(6, 15, 5), examples.bag.toarray()
    number = 0
    for ids, target in zip(batch.tokens[..., 0], batch.target, strict=True):
        for cell in np.flatnonzero(target != IGNORE_INDEX):
            assert examples.target[number] == target[cell]
            seen = [np.flatnonzero(place).tolist() for place in flat[number]]
            assert seen == [[]] * (7 - cell) + [[token] for token in ids] + [[]] * cell
            assert (
                np.array_equal(bag[number, :5], np.bincount(ids, minlength=5)) and bag[number, 5:].argmax() == ids[cell]
            )
            number += 1
    assert number == 6


def test_vectors_are_seen_from_the_cell_as_ids_are():
    specs = [f"selective-copy:length=8,tokens=2,vocabulary=5,embedding={how}" for how in ("fixed,dim=5", "trained")]
    flats = []
    for text in map(tasks.canonical, specs):
        entry, values = tasks.parse(text)
        examples = room._examples(Data(entry.create(values), spec=specs[0], seed=0), "test", 5, 100)
        flats.append(examples.flat.toarray() if hasattr(examples.flat, "toarray") else examples.flat)
    assert np.array_equal(*flats)


def test_what_would_take_too_long_or_has_no_flat_input_is_left_out():
    large = found_of("mqar:length=16,pairs=2")
    assert large["logistic_regression"] is None and large["majority"] is not None
    assert found_of("mad-compress")["nearest_neighbour"] is None
    assert set(found_of("synthetic-slides").values()) == {None}
    assert control_line({"seed": 2, **large}).endswith("; left out: logistic regression, bag of tokens")


def test_fewer_samples_are_those_of_a_smaller_run():
    few = found_of("digits", train_samples=20)
    assert few["logistic_regression"] < found_of("digits")["logistic_regression"] - 0.05


COMMAND = ["run", "--task", "majority:length=8", "--arch", "identity", "mean-pool", "--seeds", "1", "--device", "cpu"]
PROTOCOL = "standard:steps=200,batch_size=8,validation_samples=16,test_samples=200,evaluate_every=200,width=8"
FULL = [*COMMAND, "--no-timing", "--executor", "in-process", "--quiet", "--protocol", PROTOCOL + ",learning_rate=1e-7"]


def test_a_table_shows_the_controls_and_marks_what_stays_below_logistic_regression(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(FULL) == 0
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if line.startswith("controls on the test draw of seed 0: "))
    assert re.search(r"majority \d.\d+, logistic regression \d.\d+, nearest neighbour \d.\d+, bag of tokens \d", line)
    assert sum("below logistic regression" in line for line in text.splitlines()) == 2  # neither was trained
    fitted = []
    monkeypatch.setattr("harness.running.controls.controls_of", lambda *asked, **more: fitted.append(asked))
    assert main([*FULL, "--format", "json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert not fitted  # the store has them
    assert all(cell["controls"]["logistic_regression"] > 0.8 and cell["controls"]["seed"] == 0 for cell in cells)


def test_a_control_that_breaks_hides_no_result(tmp_path, capsys, monkeypatch):
    def broken(*asked, **more):
        raise RuntimeError("no memory")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.running.controls.controls_of", broken)
    assert main(FULL) == 0
    said = capsys.readouterr()
    assert "mean-pool" in said.out and "below" not in said.out
    assert "warning: no controls of majority" in said.err and "no memory" in said.err


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_other_formats_hold_them_too(tmp_path, capsys, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    assert main([*FULL, "--format", form]) == 0
    assert ("logistic_regression" if form == "csv" else "logistic regression 1.") in capsys.readouterr().out
