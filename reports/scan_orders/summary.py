"""The answer in short: which scan for what, and how sure; every sentence follows from tests by a stated rule."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.ranking import Ranking
from harness.analysis.statistics import Verdict
from harness.analysis.tables import ranking_text, verdict_text
from harness.registry.cells import display_spec

from ..places import Place, rankings_of
from ..text import bullets, counted, interval_text, joined, names_text, signed, table
from .primary import Effect, effects_of
from .results import Results
from .theory import Prediction, predictions_of

RULES = (
    "Rules: orders in **bold** are the best set of a task and architecture, named only where Friedman's test,"
    " corrected over all of them, finds that orders differ: that of the best mean over seeds and all that are not"
    " significantly worse by paired t tests, corrected over the pairs. The effect is hilbert minus horizontal in test"
    " accuracy, paired by seed, with the verdict of the declared test. An order is recommended for an architecture"
    " where it is in the best set of every task in which any order is significantly worse than the best."
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Everything that the first screen rests on."""

    results: Results
    effects: list[Effect]
    rankings: dict[Place, Ranking]
    predictions: list[Prediction]


def judge(results: Results) -> Judged:
    """All tests of the page."""
    return Judged(
        results=results,
        effects=effects_of(results),
        rankings=dict(zip(results.places, rankings_of(results.places), strict=True)),
        predictions=predictions_of(results),
    )


def section(judged: Judged) -> list[str]:
    """The sentences, the table and the rules."""
    return ["## In short", bullets(sentences_of(judged)), summary_table(judged), RULES]


def summary_table(judged: Judged) -> str:
    """One row per task and architecture: best orders, the primary effect."""
    effects = {effect.place: effect.comparison for effect in judged.effects}
    rows = []
    for place, ranking in judged.rankings.items():
        row = place.heading | {"best set": _best(ranking), "orders": ranking_text(ranking)}
        if place in effects:
            row["hilbert − horizontal"] = signed(effects[place].effect)
            row["verdict"] = verdict_text(effects[place], short=True)
        rows.append(row)
    return table(rows)


def _best(ranking: Ranking) -> str:
    """The best order or orders in bold where a test says so."""
    return f"**{names_text('scan', ranking.best)}**" if ranking.tells else "all" if ranking.decided else ""


def finding_of(judged: Judged) -> str:
    """The declared comparison with its largest effect; without one, the recommendation."""
    if not judged.effects:
        return _recommendation(judged)
    largest = max(judged.effects, key=lambda effect: abs(effect.comparison.effect.mean))
    return (
        f"{_primary(judged.effects)[0]} The largest effect on test accuracy is {_name(largest.place)},"
        f" {signed(largest.comparison.effect)}."
    )


def sentences_of(judged: Judged) -> list[str]:
    """Recommendations, the primary family, the control, the theory, and how sure all this is."""
    return [
        _recommendation(judged),
        *_levels(judged.results),
        *_primary(judged.effects),
        *_control(judged),
        *_theory(judged.predictions),
        sureness(judged),
    ]


def _name(place: Place) -> str:
    return f"{display_spec('architecture', place.beside)} on {display_spec('task', place.task)}"


def _recommendation(judged: Judged) -> str:
    parts, silent = [], []
    for architecture in judged.results.architectures:
        name = display_spec("architecture", architecture)
        best = {
            place.task: ranking.best
            for place, ranking in judged.rankings.items()
            if place.beside == architecture and ranking.tells
        }
        if not best:
            silent.append(name)
            continue
        common = [order for order in judged.results.orders if all(order in orders for orders in best.values())]
        where = joined([display_spec("task", task) for task in best])
        if common:
            parts.append(f"{name}: **{names_text('scan', common)}** (significant on {where})")
        else:
            parts.append(f"{name}: no order is in the best set everywhere ({where}); it depends on the task")
    if not parts:
        return "**Which scan?** No test here finds a significant difference between orders."
    found = f"**Which scan?** {'; '.join(parts)}."
    return found + (f" On no task do orders differ significantly for {joined(silent)}." if silent else "")


def _levels(results: Results) -> list[str]:
    """The highest mean of every task, which no test compares."""
    found = []
    for task in results.tasks:
        rows = [row for row in results.rows if row.task == task and row.scores]
        if rows:
            best = max(rows, key=lambda row: row.accuracy.mean)
            names = [display_spec(axis, getattr(best, axis)) for axis in ("task", "architecture", "scan")]
            found.append(f"{names[0]} {names[1]} under {names[2]}, {interval_text(best.accuracy)}")
    return [f"Highest means (not tested against each other): {'; '.join(found)}."] if found else []


def _primary(effects: Sequence[Effect]) -> list[str]:
    if not effects:
        return []
    verdicts = Counter(effect.verdict for effect in effects)
    better, worse = (
        [e for e in effects if e.verdict is Verdict.DIFFERENT and (e.comparison.effect.mean > 0) is sign]
        for sign in (True, False)
    )

    def places(found: Sequence[Effect]) -> str:
        names = [f"{_name(effect.place)} {effect.comparison.effect.mean:+.3f}" for effect in found]
        return f" ({'; '.join(names)})" if names else ""

    return [
        f"**Hilbert against rows**, {counted(len(effects), 'declared comparison')}: hilbert better in"
        f" {len(better)}{places(better)}, worse in {len(worse)}{places(worse)}, {Verdict.NOT_SIGNIFICANT} in"
        f" {verdicts[Verdict.NOT_SIGNIFICANT]}, {Verdict.UNDERPOWERED} in {verdicts[Verdict.UNDERPOWERED]}."
    ]


def _control(judged: Judged) -> list[str]:
    """A fixed random order is the control: where it is not worse than the best, order was not seen to matter."""
    control = {order for order in judged.results.orders if order.partition(":")[0] == "random"}
    telling = [ranking for ranking in judged.rankings.values() if ranking.tells]
    if not control or not telling:
        return []
    worse = sum(not control & set(ranking.best) for ranking in telling)
    return [
        f"**Control**: a random order is significantly worse than the best in {worse} of {len(telling)} places where"
        f" any order is, of {len(judged.rankings)} in all."
    ]


def _theory(predictions: Sequence[Prediction]) -> list[str]:
    parts = [
        f"{display_spec('architecture', each.architecture)}"
        f" {'' if math.isnan(each.found.rho) else f'{each.found.rho:+.2f} '}({each.verdict})"
        for each in predictions
    ]
    return ["**Theory**: rank correlation of accuracy with what is left of a blob's trace, mean over tasks:"
            f" {'; '.join(parts)}."] if parts else []  # fmt: skip


def sureness(judged: Judged) -> str:
    """How many seeds, and what they could have shown."""
    rankings = judged.rankings.values()
    seeds = sorted({ranking.n for ranking in rankings})
    text = (
        f"**How sure**: {joined([str(n) for n in seeds])} seeds for each order; orders differ significantly in"
        f" {sum(ranking.decided for ranking in rankings)} of {len(rankings)} places,"
        f" {sum(ranking.reason is not None for ranking in rankings)} are untestable with these seeds."
    )
    powered = [effect.comparison for effect in judged.effects if effect.verdict is not Verdict.UNDERPOWERED]
    if judged.effects and not powered:
        text += " With so few seeds no effect of hilbert against rows could come out significant, however large."
    if powered:
        detectable = statistics.median(comparison.detectable for comparison in powered)
        text += (
            f" Of hilbert against rows ({max(comparison.effect.n for comparison in powered)} seeds at most) an effect"
            f" below {detectable:.3f} would be missed in the median place."
        )
    return text
