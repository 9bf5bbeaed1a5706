"""Verdicts from hand-made records: every verdict, and what becomes of runs that did not end well."""

import random

import pytest

from harness.registry.cells import TUNING, LrSelection, Run
from harness.reports.known_answers.claim import read_claim
from harness.reports.known_answers.evidence import inflation_text, measured_text, scores_text
from harness.reports.known_answers.judging import judge
from harness.reports.known_answers.rules import Verdict
from harness.reports.known_answers.study import Runs, cells_of

from .test_claims import CLAIM

RULES = CLAIM[CLAIM.index("[[rules]]") :]


@pytest.fixture
def claim(tmp_path):
    def claim(*rules, rates=""):
        text = CLAIM.replace(RULES, "".join(f"[[rules]]\n{rule}\n" for rule in rules))
        (tmp_path / "x.toml").write_text(text.replace("seeds = 5", f"seeds = 5\n{rates}"))
        return read_claim(tmp_path / "x.toml")

    return claim


def records(claim, name, scores, rate=None, purpose="final", **facts):
    """A record a score; a score may be a status instead."""
    cell = cells_of(claim)[name]
    cell = cell if rate is None else cell.with_learning_rate(rate)
    selection = LrSelection(rates=claim.rates, seeds=1) if claim.rates and purpose == "final" else None
    made = []
    for seed, score in enumerate(scores):
        run = Run(cell=cell, seed=seed, purpose=purpose, lr_selection=selection)
        told = {"status": score, "reason": "told"} if isinstance(score, str) else {"status": "done", "reason": None}
        value = None if isinstance(score, str) else score
        made.append(
            {**cell.identity, **run.setting, **told, "test_accuracy": value, "chance_accuracy": 0.5,
             "learning_rate": rate, "started_at": "2026-01-01T00:00:00"} | facts
        )  # fmt: skip
    return made


SOLVED = 'rule = "solved"\ncell = "gru"\nscore = 0.9'
ORDER = 'rule = "order"\nabove = "gru"\nbelow = "pool"\neffect = 0.2'
UNSOLVED = 'rule = "unsolved"\ncell = "pool"\nmargin = 0.1'
WITHIN = 'rule = "within"\ncell = "gru"\nvalue = 0.95\nmargin = 0.02'
HIGH, LOW = [0.94, 0.95, 0.96, 0.95, 0.95], [0.5, 0.51, 0.49, 0.5, 0.5]


@pytest.mark.parametrize(
    ("rules", "gru", "pool", "verdict"),
    [
        ([SOLVED, ORDER, UNSOLVED, WITHIN], HIGH, LOW, Verdict.REPRODUCED),
        ([SOLVED], LOW, LOW, Verdict.NOT_REPRODUCED),
        ([SOLVED, UNSOLVED], HIGH, HIGH, Verdict.NOT_REPRODUCED),
        ([ORDER], LOW, HIGH, Verdict.NOT_REPRODUCED),
        ([WITHIN], [0.8] * 5, LOW, Verdict.NOT_REPRODUCED),
        ([WITHIN], [0.9, 0.99, 0.93, 0.97, 0.95], LOW, Verdict.UNDERPOWERED),
        ([SOLVED, ORDER], HIGH, HIGH, Verdict.UNDERPOWERED),  # no room above the lower one
        ([SOLVED], HIGH[:4] + ["diverged"], LOW, Verdict.UNDERPOWERED),
        ([UNSOLVED], HIGH, LOW[:4] + ["diverged"], Verdict.REPRODUCED),
        ([SOLVED], HIGH[:4], LOW, Verdict.NOT_RUN),
        ([SOLVED], HIGH[:4] + ["failed"], LOW, Verdict.NOT_RUN),
        ([SOLVED, UNSOLVED], HIGH, ["unsupported"] * 5, Verdict.NOT_RUN),
        ([SOLVED], [], [], Verdict.NOT_RUN),
    ],
)
def test_every_verdict(claim, rules, gru, pool, verdict):
    one = claim(*rules)
    found = records(one, "gru", gru) + records(one, "pool", pool)
    judged = judge(one, Runs(found))
    assert judged.verdict == verdict
    random.Random(0).shuffle(found)
    again = judge(one, Runs(found))
    assert again.judgements == judged.judgements


def test_a_reason_says_what_is_missing(claim):
    one = claim(SOLVED)
    assert judge(one, Runs(records(one, "gru", HIGH[:2]))).reason == "gru: 2 of 5 runs"
    assert judge(one, Runs(records(one, "gru", HIGH[:4] + ["failed"]))).reason == "gru: failed: told"
    assert judge(one, Runs([])).reason == ""


def test_a_length_is_judged_where_a_rule_names_one(claim):
    one = claim(SOLVED + "\nlength = 64")
    assert judge(one, Runs(records(one, "gru", HIGH))).reason == "gru: 5 runs have no score"
    longer = records(one, "gru", HIGH, length_accuracy={"64": 0.4})
    assert judge(one, Runs(longer)).verdict == Verdict.NOT_REPRODUCED


def test_records_of_other_settings_and_other_versions_are_no_evidence(claim):
    one, tuned = claim(SOLVED), claim(SOLVED, rates="rates = [0.001, 0.01]")
    assert judge(tuned, Runs(records(one, "gru", HIGH))).verdict == Verdict.NOT_RUN
    assert judge(one, Runs(records(tuned, "gru", HIGH, rate=0.01))).verdict == Verdict.NOT_RUN
    assert judge(tuned, Runs(records(tuned, "gru", HIGH, rate=0.01))).verdict == Verdict.REPRODUCED
    old = [record | {"versions": [1, 1, 1, 99]} for record in records(one, "gru", HIGH)]
    assert judge(one, Runs(old)).verdict == Verdict.NOT_RUN


def test_the_latest_of_two_records_of_a_seed_counts(claim):
    one = claim(SOLVED)
    old = records(one, "gru", LOW)
    new = records(one, "gru", HIGH, started_at="2026-01-02T00:00:00")
    assert judge(one, Runs(new + old)).verdict == Verdict.REPRODUCED


def test_what_picking_by_test_would_have_added(claim):
    tuned = claim(SOLVED, rates="rates = [0.001, 0.01]")
    found = records(tuned, "gru", HIGH, rate=0.01)
    found += [
        record
        for rate, score in ((0.001, 0.99), (0.01, 0.9))
        for record in records(tuned, "gru", [score], rate=rate, purpose=TUNING)
    ]
    judged, runs = judge(tuned, Runs(found)), Runs(found)
    assert inflation_text(judged, runs) == "+0.040 (k=7)"
    assert scores_text(judged) == "gru 0.950"
    assert measured_text(judged.judgements[0]) == "share 1.00 [0.55, 1.00]"
