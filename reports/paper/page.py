"""The page: every claim, our figure, our numbers, a verdict by checks stated beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.contracts.outcome import Status
from harness.registry.cells import FINAL
from harness.store.record import Record

from ..page import Page, Question
from ..text import bullets, counted, table
from .experiment import Check, Experiment, Results, verdict
from .method import DERIVATIONS
from .study import EXPERIMENTS, TRIALS

INTRODUCTION = """\
Shandirasegaran, Li, Zhang, Wang, Zhang: *A Theoretical Analysis of Mamba's Training Dynamics: Filtering Relevant
Features for Generalization in State Space Models*, ICLR 2026,
[arXiv 2602.12499](https://arxiv.org/abs/2602.12499).

Each claim is put as checks that were written down before the runs. A claim is **shown** where every check holds,
**partly** shown where some do, **not shown** where none does, and **not decided** where too little has run. A check on
a mean holds where its whole 95% t interval over trials does, a check on a trend where the 95% interval of Spearman's
correlation over trials does.

Epochs are full-batch gradient steps (in population mode, steps on fresh sequences). Medians are over all trials: one
that never arrived counts as later than any that did. Beside them stand a distribution-free 95% interval, how many
arrived, and the mean over those alone, as the paper averages. What the paper does not state is ours, and is said to be
under "Setting".
"""

MARKS = {True: "holds:", False: "does not hold:", None: "cannot be told yet:"}


def sentences(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each experiment that has trials."""
    results = Results(record for record in records if record["purpose"] == FINAL)
    lines = []
    for experiment in EXPERIMENTS:
        if results.known(experiment.points):
            checks = experiment.judge(results)
            held = sum(bool(check.holds) for check in checks)
            told = f"{verdict(checks):<12} {held} of {len(checks)} checks hold"
            lines.append(f"{experiment.id:<11} {told}  {experiment.title}")
    return lines


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and a PNG for each experiment beside it; returns the pictures."""
    records = [record for record in records if record["purpose"] == FINAL]
    results = Results(records)
    shown = [experiment for experiment in EXPERIMENTS if all(map(results.of, experiment.points))]
    missing = [experiment.id for experiment in EXPERIMENTS if experiment not in shown]
    checks = {experiment.id: experiment.judge(results) for experiment in shown}
    page = Page(
        path=path,
        title="The paper, measured",
        store=store,
        records=records,
        commands=[_run_command(results, shown, store), command],
        finding=_finding(checks),
        limits=[
            "Intervals are not corrected for the number of checks: read a lone one with that in mind.",
            "What the paper does not state is ours: see the settings.",
            f"Not here, since not all of their points have been run: {', '.join(missing)}." if missing
            else "Figures 7 to 10 and tables 1 and 2 of the paper are not here: what they show is not known to us.",
        ],
        questions=[
            Question(each.id, each.claim, "its own checks, not corrected", declared=True) for each in shown
        ],
    )  # fmt: skip
    page.sections = ["## The verdicts", INTRODUCTION, _summary(shown, checks)]
    for number, experiment in enumerate(shown):
        picture = page.draw(experiment.id, experiment.title, experiment.draw(results, experiment.points))
        if number == 0:
            page.picture = picture
        page.sections += [f"## {experiment.id}", f"**{experiment.title}.** {experiment.claim}"]
        page.sections += picture if number else []  # the first one opens the page
        page.sections += [f"Verdict: **{verdict(checks[experiment.id])}**."]
        told = (f"{MARKS[each.holds]} {each.statement} ({each.numbers})" for each in checks[experiment.id])
        page.sections += [bullets(told), table(experiment.rows(results)), f"Setting: {experiment.setting}."]
        page.sections += _outcomes(results, experiment)
    page.sections += [DERIVATIONS]
    return page.write()


def _run_command(results: Results, shown: Sequence[Experiment], store: str) -> str:
    ids = [each.id for each in shown] if len(shown) < len(EXPERIMENTS) else []
    trials = min((len(results.of(p)) for each in shown for p in each.points), default=0)
    size = [] if trials == TRIALS["default"] else [f"--seeds {trials}"]
    return " ".join(["python -m harness paper run", *ids, *size, f"--store {store}"])


def _finding(checks: Mapping[str, Sequence[Check]]) -> str:
    """How many claims are shown, and the first check of the first of them with its numbers."""
    verdicts = Counter(verdict(each) for each in checks.values())
    counts = ", ".join(f"{count} {name}" for name, count in verdicts.most_common())
    held = next((check for each in checks.values() for check in each if check.holds), None)
    example = f" For example: {held.statement} ({held.numbers})." if held else ""
    return f"Of {counted(len(checks), 'claim')} tested here: {counts}.{example}"


def _summary(shown: Sequence[Experiment], checks: Mapping[str, Sequence[Check]]) -> str:
    return table(
        [
            {
                "id": f"[{experiment.id}](#{experiment.id})",
                "claim": experiment.claim,
                "verdict": f"**{verdict(checks[experiment.id])}**",
                "checks that hold": f"{sum(bool(c.holds) for c in checks[experiment.id])} of"
                f" {len(checks[experiment.id])}",
            }
            for experiment in shown
        ]
    )


def _outcomes(results: Results, experiment: Experiment) -> list[str]:
    """How many trials never converged or did not run to their end."""
    trials = [record for p in dict.fromkeys(experiment.asked(results)) for record in results.of(p)]
    missing = sum(record["status"] == Status.DONE and record.get("steps_to_convergence") is None for record in trials)
    others = Counter(record["status"] for record in trials if record["status"] != Status.DONE)
    lines = [f"Trials: {len(trials)}; without convergence to test loss < .001 within their budget: {missing}."]
    if others:
        lines.append(
            "Not finished: " + ", ".join(f"{count} {status}" for status, count in sorted(others.items())) + "."
        )
    return ["\n".join(lines)]
