"""The page: a strip of verdicts, published beside measured, curves, disputes, and what was not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.registry.cells import FINAL
from harness.store.record import Record

from ..page import Page
from ..text import bullets, counted, table
from . import card, evidence
from .judging import Judged, judge
from .rules import Verdict
from .strip import strip
from .study import NAME, Runs, claims

RULES = """\
Every rule was written into the claim's file before its runs. Decisions rest on 90% intervals, whose ends are one-sided
95% bounds: **reproduced** where the whole interval lies where the rule asks, **not reproduced** where the whole
interval lies elsewhere, **underpowered** where it straddles, **not run here** until every declared seed has a record.
Shares of seeds have Clopper-Pearson intervals, means and paired differences t intervals. A run that diverged counts as
chance. A reduced setting says nothing of the published one beyond what is common to both.
"""

FOUND = "What is known of verdicts that are not plain, written after the runs and therefore not blind:"
BEST_OF = (
    "Best of k: how far the best of all runs by test accuracy (seeds, and rates where they were tried) stands above the"
    " mean score that is judged here; several published tables pick settings on their test data."
)


DISPUTES = """\
Numbers on which published sources contradict each other. Our protocol differs from all of them in three ways: rates are
chosen on validation and on seeds that no score uses, training stops on validation or not at all, and the state is what
the record counts in one layer, a convolution's included.
"""


def judged_of(records: Sequence[Mapping[str, Any]]) -> tuple[list[Judged], Runs]:
    """Every claim with its verdict."""
    runs = Runs(records)
    return [judge(claim, runs) for claim in claims().values()], runs


def verdicts_of(judged: Sequence[Judged]) -> dict[str, Verdict]:
    """By claim, of those that were run."""
    return {each.claim.id: each.verdict for each in judged if each.verdict != Verdict.NOT_RUN}


def sentences(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each claim that has runs."""
    judged, _ = judged_of(records)
    return [f"{each.verdict:<14} {each.claim.statement}{_why(each)}" for each in judged if any(each.records.values())]


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and its pictures; records: final and tuning runs."""
    judged, runs = judged_of(records)
    shown = [each for each in judged if each.verdict != Verdict.NOT_RUN]
    ids = " ".join(each.claim.id for each in shown)
    page = Page(
        path=path,
        title="Known answers",
        store=store,
        records=[record for record in records if record["purpose"] == FINAL],
        commands=[f"python -m harness {NAME} run {ids} --store {NAME}.sqlite", command],
        finding=_finding(judged),
        known_answers=strip((each.claim for each in judged), verdicts_of(judged)),
        limits=[
            f"{_settings(shown)}: a reduced setting tests what a claim says, not the number that was published.",
            "Published numbers were read as their cards say; those from transcriptions, plots and memory are marked.",
            "No verdict is corrected for the number of claims.",
        ],
    )
    page.picture = page.draw("verdicts", "What was measured for each rule", evidence.draw_verdicts(shown))
    page.sections = ["## Published beside measured", RULES, BEST_OF, table([_row(each, runs) for each in shown])]
    page.sections += _found(shown)
    curves = page.draw("curves", "Learning curves", evidence.draw_curves(shown))
    page.sections += ["## Learning curves", "A line for each seed.", *curves] if curves else []
    rates = page.draw("rates", "Score against learning rate", evidence.draw_rates(shown, runs))
    page.sections += ["## How much does the learning rate decide?", *rates] if rates else []
    page.sections += _disputes(judged) + _not_run(judged)
    page.appendix = [block for each in shown for block in _card(each)]
    return page.write()


def _finding(judged: Sequence[Judged]) -> str:
    counts = Counter(each.verdict for each in judged)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"Of {counted(len(judged), 'published claim')}: {told}."


def _settings(judged: Sequence[Judged]) -> str:
    counts = Counter(each.claim.setting for each in judged)
    return ", ".join(f"{count} {setting}" for setting, count in counts.items()) or "None run"


def _row(each: Judged, runs: Runs) -> dict[str, str]:
    return {
        "claim": f"{each.claim.id}",
        "verdict": f"**{each.verdict}**{_why(each)}",
        "published": evidence.published_text(each),
        "mean test accuracy": evidence.scores_text(each),
        "judged by, 90% interval": "; ".join(filter(None, map(evidence.measured_text, each.judgements))),
        "seeds": str(each.claim.seeds),
        "setting": each.claim.setting,
        "best of k": evidence.inflation_text(each, runs),
    }


def _why(each: Judged) -> str:
    return f" ({each.reason})" if each.reason else ""


def _found(shown: Sequence[Judged]) -> list[str]:
    lines = [f"- {each.claim.id} ({each.verdict}): {each.claim.found}" for each in shown if each.claim.found]
    return [FOUND, "\n".join(lines)] if lines else []


def _disputes(judged: Sequence[Judged]) -> list[str]:
    rows = [
        {
            "claim": each.claim.id,
            "what is disputed": each.claim.dispute,
            "our rule": "; ".join(rule.text for rule in each.claim.rules),
            "here": f"{each.verdict} {evidence.scores_text(each)}",
        }
        for each in judged
        if each.claim.dispute
    ]
    told = ["## Disputed", DISPUTES, table(rows)]
    return told if rows else []


def _not_run(judged: Sequence[Judged]) -> list[str]:
    rows = [
        {
            "claim": each.claim.id,
            "what it says": each.claim.statement,
            "published": evidence.published_text(each),
            "cost": f"{each.claim.cost}, about {each.claim.minutes:g} min",
            "command": f"`{each.claim.command}`",
        }
        for each in judged
        if each.verdict == Verdict.NOT_RUN
    ]
    return ["## Not run here", table(rows)] if rows else []


def _card(each: Judged) -> list[str]:
    return [f"**{each.claim.id}**", bullets(card.lines_of(each.claim)[1:])]
