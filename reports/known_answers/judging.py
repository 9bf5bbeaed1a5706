"""Verdicts from records: of each rule, and of each claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.scores import chance_of
from harness.contracts.outcome import FINISHED, Status
from harness.store.record import Record

from . import rules
from .claim import Claim, Order, Rule, Solved, Within, names_in
from .rules import Judgement, Verdict
from .study import Runs, cells_of


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A claim, the records of each of its cells, and a judgement for each of its rules."""

    claim: Claim
    records: Mapping[str, Sequence[Record]]
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> Verdict:
        return rules.together([each.verdict for each in self.judgements])

    @property
    def reason(self) -> str:
        """Why nothing was decided, where a rule says so."""
        return next((each.reason for each in self.judgements if each.reason), "")


def judge(claim: Claim, runs: Runs) -> Judged:
    """Every rule of a claim, once all its runs are there."""
    records = {name: runs.of(claim, cell) for name, cell in cells_of(claim).items()}
    judged = tuple(judge_rule(rule, claim.seeds, records) for rule in claim.rules)
    return Judged(claim=claim, records=records, judgements=judged)


def judge_rule(rule: Rule, seeds: int, records: Mapping[str, Sequence[Record]]) -> Judgement:
    """One rule, from the records of the cells that it names.

    A rule waits for every seed that was declared: with some of them a verdict could be picked by stopping. A run that
    diverged counts as chance; a cell with a run that failed or cannot run here has no verdict.
    """
    scores: list[list[float]] = []
    for name in names_in(rule):
        found = sorted(records[name], key=lambda record: record["seed"])
        ended = next((record for record in found if record["status"] not in FINISHED), None)
        if ended is not None:
            return _not_run(f"{name}: {ended['status']}: {ended['reason']}")
        if len(found) < seeds:
            return _not_run(f"{name}: {len(found)} of {seeds} runs" if found else "")
        values = [score_of(record, rule.length) for record in found]
        known = [value for value in values if value is not None and not math.isnan(value)]
        if len(known) < seeds:
            return _not_run(f"{name}: {seeds - len(known)} runs have no score")
        scores.append(known)
    first = records[names_in(rule)[0]]
    ratio = float(next((r["test_train_ratio"] for r in first if r.get("test_train_ratio")), 0.0))
    if isinstance(rule, Within):
        return rules.within(scores[0], rule.value, rule.margin, test_train_ratio=ratio)
    if isinstance(rule, Order):
        return rules.order(scores[0], scores[1], rule.effect, test_train_ratio=ratio)
    if isinstance(rule, Solved):
        return rules.solved(scores[0], rule.score, rule.share)
    return rules.unsolved(scores[0], chance_of(first), rule.margin, rule.share)


def score_of(record: Mapping[str, Any], length: int | None = None) -> float | None:
    """Test accuracy, at one of the test lengths where one is asked; chance where the run diverged."""
    if record["status"] == Status.DIVERGED:
        return chance_of([dict(record)])
    if length is None:
        return record.get("test_accuracy")
    return (record.get("length_accuracy") or {}).get(str(length))


def _not_run(reason: str) -> Judgement:
    return Judgement(verdict=Verdict.NOT_RUN, measures="", estimate=rules.share_interval(0, 0), reason=reason)
