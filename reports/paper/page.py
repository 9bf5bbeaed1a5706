"""The page: theorem 2 on the first screen, a line for each claim, then every figure with its checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.contracts.outcome import Status
from harness.registry.cells import FINAL
from harness.store.record import Record

from ..page import KnownAnswer, Page
from ..text import counted, table
from . import theorem2
from .experiment import Check, Experiment, Results, Verdict, counts, verdict
from .method import DERIVATIONS
from .study import EXPERIMENTS

PAPER = """\
Shandirasegaran, Li, Zhang, Wang, Zhang: *A Theoretical Analysis of Mamba's Training Dynamics: Filtering Relevant
Features for Generalization in State Space Models*, ICLR 2026,
[arXiv 2602.12499](https://arxiv.org/abs/2602.12499).
"""

RULES = """\
## How verdicts are reached

Each claim is put as checks, and each check declares the smallest effect that matters.

- **shown**: the whole interval lies beyond that effect, in the claimed direction.
- **contradicted**: the whole interval lies beyond it in the other direction, or wholly outside the claimed bounds.
- **too small to matter**: the whole interval lies within it, on either side of zero.
- **not decided**: anything else, with the reason: a ceiling, too few trials, a budget that is too short.
- A claim is **partly shown** where the checks that do not show it are not decided, **mixed** where checks say
  different things.

Intervals cover 95% for all checks of one claim together (Bonferroni); over the page nothing is corrected, so a section
stands for itself. Figures 13 to 18, of which we do not know what the paper's show, and all that is ours are
exploratory. A check is **blind** where both its statement and its smallest effect were fixed before any of its trials
ran. The others got their smallest effect, or their setting, after a first study of 10 trials (seeds 0 to 9) had been
seen.

A rate Theta(...) is held against measured slopes. A number of samples Omega(...) is read as sufficient, as stated: then
only a need that grows faster than the bound speaks against it.

Epochs are full-batch gradient steps (in population mode, steps on fresh sequences). Medians are over all trials: one
that never arrived counts as later than any that did. Beside them stand a distribution-free 95% interval, how many
arrived, and the mean over those alone, as the paper averages. What the paper does not state is ours, and is said to be
under "Setting".
"""

UNKNOWN = "no verdict on the paper, whose figure is not known to us"


def told(experiment: Experiment, checks: Sequence[Check]) -> str:
    """`shown`, or `mixed (2 shown, 1 not decided)`; of a figure that is not known to us what we measured."""
    found = verdict(checks)
    text = f"{found} ({counts(checks)})" if found in (Verdict.MIXED, Verdict.PARTLY) else str(found)
    return text if experiment.known else f"{UNKNOWN}; here: {text}"


def sentences(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each experiment that has trials."""
    results = Results(records)
    lines = []
    for experiment in EXPERIMENTS:
        if results.known(experiment.points):
            lines.append(f"{experiment.id:<11} {told(experiment, experiment.judge(results))}: {experiment.title}")
    return lines


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and a PNG for each experiment beside it; returns the pictures."""
    records = [record for record in records if record["purpose"] == FINAL]
    results = Results(records)
    shown = [experiment for experiment in EXPERIMENTS if experiment.ran(results)]
    missing = [experiment.id for experiment in EXPERIMENTS if experiment not in shown]
    checks = {experiment.id: experiment.judge(results) for experiment in shown}
    page = Page(
        path=path,
        title="The paper, measured",
        store=store,
        records=records,
        commands=[*_run_commands(results, shown, store), command],
        finding=" ".join(filter(None, [theorem2.finding(results), _finding(shown, checks)])),
        known_answers=[
            KnownAnswer(
                statement=f"{each.claim} **{told(each, checks[each.id])}**",
                source=f"[{each.id}](#{each.id})",
                reproduced=_reproduced(checks[each.id]),
            )
            for each in shown
            if each.known and not each.ours
        ],
        limits=[
            "Intervals are corrected within a claim, not over the page.",
            "Most smallest effects were declared after a first study had been seen; each check says so.",
            f"Not here, since not all of their points have been run: {', '.join(missing)}." if missing
            else "Figures 7 to 10 and tables 1 and 2 of the paper are not here: what they show is not known to us.",
        ],
    )  # fmt: skip
    opening = theorem2.draw_regimes(results)
    page.picture = page.draw("regimes", "Theorem 2: epochs against D in three gate regimes", opening)
    page.sections = [PAPER, RULES]
    for experiment in shown:
        page.sections += _section(page, results, experiment, checks[experiment.id])
    page.sections += [DERIVATIONS]
    return page.write()


def _section(page: Page, results: Results, experiment: Experiment, checks: Sequence[Check]) -> list[str]:
    """An experiment: claim, figure, verdict, checks, setting; the table folds."""
    rows = [
        {
            "check": check.statement,
            "smallest effect that matters": check.matters,
            "measured": check.numbers,
            "blind": "yes" if check.blind else "no",
            "verdict": f"**{check.verdict}**" + (f": {check.why}" if check.why else ""),
        }
        for check in checks
    ]
    picture = page.draw(experiment.id, experiment.title, experiment.draw(results, experiment.points))
    return [
        f"## {experiment.id}",
        f"**{experiment.title}.** {experiment.claim}",
        *picture,
        f"Verdict: **{told(experiment, checks)}**. Intervals of its checks: {experiment.level:.1%}.",
        table(rows),
        "<details>\n<summary>Numbers of every point</summary>",
        table(experiment.rows(results)),
        "</details>",
        f"Setting: {experiment.setting}.",
        *_outcomes(results, experiment),
    ]


def _reproduced(checks: Sequence[Check]) -> bool | None:
    """Whether all of a claim is shown; None where nothing speaks against it and not all is decided."""
    found = verdict(checks)
    return None if found in (Verdict.NOT_DECIDED, Verdict.PARTLY) else found is Verdict.SHOWN


def _run_commands(results: Results, shown: Sequence[Experiment], store: str) -> list[str]:
    """A command for each number of trials that experiments have, the most first."""
    trials = {each.id: min((len(results.of(p)) for p in each.needed), default=0) for each in shown}
    if len(set(trials.values())) == 1 and len(shown) == len(EXPERIMENTS):
        return [f"python -m harness paper run --trials {next(iter(trials.values()))} --store {store}"]
    return [
        f"python -m harness paper run {' '.join(id for id, n in trials.items() if n == count)} --trials {count}"
        f" --store {store}"
        for count in sorted(set(trials.values()), reverse=True)
    ]


def _finding(shown: Sequence[Experiment], checks: Mapping[str, Sequence[Check]]) -> str:
    """How many of the paper's claims are shown."""
    verdicts = Counter(verdict(checks[each.id]) for each in shown if each.known and not each.ours)
    total = verdicts.total()
    return (
        f"Of {counted(total, 'claim')} of the paper tested here: "
        + ", ".join(f"{verdicts[each]} {each}" for each in Verdict if verdicts[each])
        + "."
        if total
        else ""
    )


def _outcomes(results: Results, experiment: Experiment) -> list[str]:
    """How many trials never converged or did not run to their end."""
    trials = [record for p in dict.fromkeys(experiment.asked(results)) for record in results.of(p)]
    missing = sum(record["status"] == Status.DONE and record.get("steps_to_convergence") is None for record in trials)
    others = Counter(record["status"] for record in trials if record["status"] != Status.DONE)
    lines = [f"Trials: {len(trials)}; that did not get to the loss at which they end within their budget: {missing}."]
    if others:
        lines.append(
            "Not finished: " + ", ".join(f"{count} {status}" for status, count in sorted(others.items())) + "."
        )
    return ["\n".join(lines)]
