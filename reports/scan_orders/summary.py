"""The first screen: which scan for what, and how sure; every sentence follows from the statistics by a stated rule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.tables import interval_text

from ..words import counted, joined
from .markdown import orders_text, signed, table
from .primary import Effect, effects_of
from .ranks import Rankings, best_text, rankings_of
from .results import Results, name_of
from .theory import Prediction, predictions_of

RULES = (
    "Rules: orders in **bold** are the best set of a task and architecture, named only where Friedman's test,"
    " corrected over all of them, tells that orders differ: that of the best mean over seeds and all that paired t"
    " tests, corrected over the pairs, do not tell to be worse. The effect is hilbert minus horizontal in test"
    " accuracy, paired by seed, with the verdict of the declared test. An order is recommended for an architecture"
    " where it is in the best set of every task that tells any order from the best. Architectures are not tested"
    " against each other."
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Everything that the first screen rests on."""

    results: Results
    effects: list[Effect]
    rankings: Rankings
    predictions: list[Prediction]


def judge(results: Results) -> Judged:
    """All tests of the page."""
    return Judged(
        results=results,
        effects=effects_of(results),
        rankings=rankings_of(results),
        predictions=predictions_of(results),
    )


def section(judged: Judged) -> list[str]:
    """The table, the sentences and the rules."""
    sentences = sentences_of(judged)
    return [summary_table(judged), "", *(f"- {sentence}" for sentence in sentences), "", RULES, ""]


def summary_table(judged: Judged) -> str:
    """A row an architecture, a column a task: best orders, the primary effect."""
    effects = {(effect.task, effect.architecture): effect for effect in judged.effects}
    rows = []
    for architecture in judged.results.architectures:
        row = {"architecture": name_of("architecture", architecture)}
        for task in judged.results.tasks:
            ranking, effect = judged.rankings.get((task, architecture)), effects.get((task, architecture))
            parts = [best_text(ranking)] if ranking is not None else []
            if effect is not None:
                verdict = effect.comparison.verdict.partition(";")[0]
                parts.append(f"hilbert − horizontal {signed(effect.comparison.effect)}: {verdict}")
            row[name_of("task", task)] = "<br>".join(parts)
        rows.append(row)
    return table(rows)


def sentences_of(judged: Judged) -> list[str]:
    """Recommendations, the primary family, the control, the theory, and how sure all this is."""
    return [
        *_recommendations(judged),
        *_levels(judged),
        *_primary(judged.effects),
        *_control(judged),
        *_theory(judged.predictions),
        _sureness(judged),
    ]


def _decided(judged: Judged, architecture: str) -> dict[str, tuple[str, ...]]:
    """Task to best set, of those that tell any order from the best."""
    return {
        task: ranking.best
        for (task, other), ranking in judged.rankings.items()
        if other == architecture and ranking.tells
    }


def _recommendations(judged: Judged) -> list[str]:
    parts, silent = [], []
    for architecture in judged.results.architectures:
        name, best = name_of("architecture", architecture), _decided(judged, architecture)
        if not best:
            silent.append(name)
            continue
        common = [order for order in judged.results.orders if all(order in orders for orders in best.values())]
        where = joined([name_of("task", task) for task in best])
        if common:
            parts.append(f"{name}: **{orders_text(common)}** (told on {where})")
        else:
            parts.append(f"{name}: no order is in the best set everywhere ({where}); it depends on the task")
    found = [f"**Which scan?** {'; '.join(parts)}."] if parts else ["**Which scan?** No test here tells orders apart."]
    if parts and silent:
        found[0] += f" No task tells orders apart for {joined(silent)}."
    return found


def _levels(judged: Judged) -> list[str]:
    """The highest mean of every task, which no test compares."""
    found = []
    for task in judged.results.tasks:
        rows = [row for a in judged.results.architectures for row in judged.results.of(task, a) if row.done]
        if rows:
            best = max(rows, key=lambda row: judged.results.accuracy(row).mean)
            text = interval_text(judged.results.accuracy(best))
            found.append(
                f"{name_of('task', task)} {name_of('architecture', best.architecture)} under"
                f" {name_of('scan', best.scan)}, {text}"
            )
    return [f"Highest means (not tested against each other): {'; '.join(found)}."] if found else []


def _primary(effects: Sequence[Effect]) -> list[str]:
    if not effects:
        return []
    better = [e for e in effects if e.differs and e.comparison.effect.mean > 0]
    worse = [e for e in effects if e.differs and e.comparison.effect.mean < 0]
    undecidable = sum(e.undecidable for e in effects)
    none = len(effects) - len(better) - len(worse) - undecidable

    def places(found: Sequence[Effect]) -> str:
        names = [
            f"{name_of('architecture', e.architecture)} on {name_of('task', e.task)} {e.comparison.effect.mean:+.3f}"
            for e in found
        ]
        return f" ({'; '.join(names)})" if names else ""

    return [
        f"**Hilbert against rows**, {counted(len(effects), 'declared comparison')}: hilbert better in"
        f" {len(better)}{places(better)}, worse in {len(worse)}{places(worse)}, no difference seen in {none},"
        f" undecidable in {undecidable}."
    ]


def _control(judged: Judged) -> list[str]:
    """A fixed random order is the control: where it is not told from the best, order was not seen to matter."""
    control = [order for order in judged.results.orders if order.partition(":")[0] == "random"]
    telling = [ranking for ranking in judged.rankings.values() if ranking.tells]
    if not control or not telling:
        return []
    told = sum(not set(control) & set(ranking.best) for ranking in telling)
    return [
        f"**Control**: a random order is told from the best in {told} of {len(telling)} places that tell any order from"
        f" it, of {len(judged.rankings)} in all."
    ]


def _theory(predictions: Sequence[Prediction]) -> list[str]:
    if not predictions:
        return []
    parts = [
        f"{name_of('architecture', each.architecture)}"
        f" {'' if math.isnan(each.found.rho) else f'{each.found.rho:+.2f} '}({each.verdict})"
        for each in predictions
    ]
    return [
        "**Theory**: rank correlation of accuracy with what is left of a blob's trace, mean over tasks:"
        f" {'; '.join(parts)}."
    ]


def _sureness(judged: Judged) -> str:
    seeds = sorted({ranking.n for ranking in judged.rankings.values()})
    decided = sum(ranking.decided for ranking in judged.rankings.values())
    hopeless = sum(ranking.reason is not None for ranking in judged.rankings.values())
    text = (
        f"**How sure**: {joined([str(n) for n in seeds])} seeds an order; orders are told apart in {decided} of"
        f" {len(judged.rankings)} places, {hopeless} cannot be decided with these seeds."
    )
    decidable = [effect for effect in judged.effects if not effect.undecidable]
    if judged.effects and not decidable:
        text += " With so few seeds hilbert against rows cannot be told anywhere, however large the effect."
    if decidable:
        detectable = [effect.comparison.detectable for effect in decidable]
        text += (
            f" Of hilbert against rows ({max(effect.comparison.effect.n for effect in judged.effects)} seeds at most)"
            f" an effect below {statistics.median(detectable):.3f} would be missed in the median place."
        )
    return text
