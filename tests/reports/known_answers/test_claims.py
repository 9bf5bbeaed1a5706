"""Claim files: those that come along are in order, and a wrong one is refused in one line."""

import re

import pytest

from harness.contracts.errors import UserError
from harness.reports.known_answers import card, study
from harness.reports.known_answers.claim import FOLDER, read_claim

CLAIM = """
id = "x"
statement = "A GRU beats pooling"
setting = "reduced"
setting_published = "long"
setting_run = "short"
reduced = ["steps"]
cost = "minutes"
minutes = 0.1
seeds = 5
[source]
paper = "arXiv 1"
place = "table 1"
[[published]]
of = "GRU"
value = 0.9
read = "repository"
[cells.gru]
task = "majority:length=8"
architecture = "gru"
protocol = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"
[cells.pool]
task = "majority:length=8"
architecture = "mean-pool"
protocol = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"
[[rules]]
rule = "solved"
cell = "gru"
score = 0.0
[[rules]]
rule = "order"
above = "gru"
below = "pool"
effect = 0.4
[[rules]]
rule = "within"
cell = "pool"
value = 0.01
margin = 0.01
"""


@pytest.fixture
def write(tmp_path):
    def write(*changes, name="x.toml"):
        text = CLAIM
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_claim_that_comes_along_is_in_order(path):
    claim = read_claim(path)
    assert claim.published, "nothing is published"
    for cell in study.cells_of(claim).values():
        if cell.task != "mnist1d" and "root=" not in cell.task:  # these draw a set, or read files
            cell.check()
    assert claim.source.place and len(card.lines_of(claim)) > 8
    assert not re.search(r"[^\x00-\x7f]", path.read_text())
    if claim.dispute:
        assert len([each for each in claim.published if each.value is not None]) > 1, "a dispute has two numbers"


def test_there_are_enough_of_every_cost_and_six_run_in_minutes():
    costs = [claim.cost for claim in study.claims().values()]
    assert len(costs) >= 24 and all(costs.count(cost) >= 6 for cost in ("minutes", "hours", "gpu"))
    cheapest = sorted(claim.minutes for claim in study.claims().values() if claim.cost == "minutes")[:6]
    assert sum(cheapest) <= 2 * 15  # core minutes, on two cores


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('id = "x"', 'id = "y"'), "x.toml: id: the file's name without .toml, 'x', got 'y'"),
        (('cost = "minutes"', 'cost = "cheap"'), "cost: input should be 'minutes', 'hours' or 'gpu', got 'cheap'"),
        (('statement = "A GRU beats pooling"', ""), "statement: field required"),
        (("seeds = 5", "seeds = 5\nsed = 1"), "sed: extra inputs are not permitted, got 1"),
        (("seeds = 5", "seeds = 4"), "rules.0: solved cannot be decided with seeds = 4: of 4 seeds, all show a share"),
        (("seeds = 5", "seeds = 2"), "rules.0: solved cannot be decided with seeds = 2"),
        (('reduced = ["steps"]', ""), "reduced: says what was, where setting = 'reduced' and only there, got []"),
        (('cell = "gru"', 'cell = "gruu"'), "rules.0: 'gruu' is none of its cells; did you mean"),
        (('rule = "order"', 'rule = "orders"'), "rules.1: input tag 'orders'"),
        (("effect = 0.4", "effect = 1.5"), "rules.1.order.effect: input should be less than 1, got 1.5"),
        (('architecture = "gru"', 'architecture = "gruu"'), "cells.gru: "),
        (("length=8", "length=0"), "cells.gru: "),
        (('read = "repository"', 'read = "heard"'), "published.0.read: input should be 'repository'"),
        (("[source]", "[source"), "no TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(write, change, told):
    with pytest.raises(UserError) as caught:
        read_claim(write(change))
    text = str(caught.value)
    assert told in text and text.startswith("claim x.toml: ") and "\n" not in text and len(text) < 400


def test_files_that_a_task_reads_need_not_be_here(write):
    read_claim(write(("majority:length=8", "cifar10:root=nowhere"), ("majority:length=8", "cifar10:root=nowhere")))


def test_what_is_chosen():
    assert {claim.cost for claim in study.chosen([])} == {"minutes"}
    assert {claim.cost for claim in study.chosen([], "gpu")} == {"gpu"}
    assert [claim.id for claim in study.chosen(["mqar-attention-64"])] == ["mqar-attention-64"]
    with pytest.raises(UserError, match="'mqar-atention-64' is no claim; did you mean"):
        study.chosen(["mqar-atention-64"])
    with pytest.raises(UserError, match="--cost is one of minutes, hours, gpu, got 'days'"):
        study.chosen([], "days")
