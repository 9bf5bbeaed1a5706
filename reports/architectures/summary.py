"""The answer in short: which architecture for what, and how sure; every sentence follows by a stated rule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from harness.analysis.ranking import Ranking
from harness.analysis.statistics import corrected_t_p, holm, mean_interval
from harness.analysis.summary import PRIMARY
from harness.registry.cells import display_spec

from ..places import Place
from ..rates import Trials
from ..text import bullets, counted, interval_text, joined, signed, table
from . import recall

BASE = "mamba"
"""What speeds are compared with."""

NAMED = 5
"""Of those who lead; more say that little is told."""

RULES = (
    "Rules: mean test accuracy over seeds; **bold** leads in a place, named only where Friedman's test, corrected over"
    " the places, finds that architectures differ: that of the best mean and those next to it, down to the first that"
    " is significantly worse by paired t tests, corrected over the pairs. A tilde: below one that is significantly"
    " worse, and not significantly so itself, because its seeds scatter. A dash: nothing ran to its end. Speed: median"
    " over places of the training throughput as a multiple of mamba's in the same timing session. Parameters and state"
    " at the width of the first place; FLOPs of mixing a token there."
)


def section(places: Sequence[Place], rankings: Sequence[Ranking], trials: Trials) -> list[str]:
    """The sentences, the table and the rules, for the places of one setting."""
    return ["## In short", bullets(sentences_of(places, rankings, trials)), _table(places, rankings), RULES]


def finding_of(places: Sequence[Place], rankings: Sequence[Ranking]) -> str:
    """Who leads where, and by how much the best of all leads."""
    rows = [(row, place) for place in places for row in place.rows if row.scores]
    if not rows:
        return "No run here came to its end."
    best, where = max(rows, key=lambda pair: pair[0].accuracy.mean - pair[1].chance)
    return (
        f"{_best(places, rankings)[0]} Furthest above chance ({where.chance:.3f}): {_name(best.architecture)} on"
        f" {where.name}, test accuracy {interval_text(best.accuracy)}."
    )


def sentences_of(places: Sequence[Place], rankings: Sequence[Ranking], trials: Trials) -> list[str]:
    """What is significant, what is not, and how sure."""
    return [
        *_best(places, rankings),
        *_at_chance(places),
        *_scans(places),
        *_state(places),
        *_rates(places, trials),
        sureness(places, rankings),
    ]


def _name(architecture: str) -> str:
    return display_spec("architecture", architecture)


def _table(places: Sequence[Place], rankings: Sequence[Ranking]) -> str:
    rows = []
    for architecture in dict.fromkeys(row.architecture for place in places for row in place.rows):
        found = [place.row(architecture) for place in places]
        texts = {}
        for place, ranking, row in zip(places, rankings, found, strict=True):
            text = f"{row.accuracy.mean:.3f}" if row is not None and row.scores else "–"
            if ranking.tells:
                text = f"**{text}**" * (architecture in ranking.leading) or text
                text += " ~" * (architecture in ranking.scattered)
            texts[place.name] = text
        facts = {
            name: next((row.get(key) for row in found if row is not None and row.get(key) is not None), None)
            for name, key in (("parameters", "parameters"), ("state", "state_size"), ("FLOPs/token", "flops_per_token"))
        }
        numbers = {name: "" if value is None else f"{value:,.0f}" for name, value in facts.items()}
        rows.append({"architecture": _name(architecture), **texts, "speed": _speed(places, architecture), **numbers})
    return table(rows)


def _speed(places: Sequence[Place], architecture: str) -> str:
    ratios = []
    for place in places:
        timed = {row.architecture.partition(":")[0]: row.speed for row in place.rows if row.speed.get("step_seconds")}
        row, base = place.row(architecture), timed.get(BASE)
        ours = row.speed if row else {}
        if base and ours.get("step_seconds") and ours.get("session") == base.get("session"):
            ratios.append(base["step_seconds"] / ours["step_seconds"])
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _best(places: Sequence[Place], rankings: Sequence[Ranking]) -> list[str]:
    parts, silent = [], []
    for place, ranking in zip(places, rankings, strict=True):
        if ranking.tells:
            names = [f"**{_name(name)}**" for name in ranking.leading]
            more = [f"{len(names) - NAMED} more of {len(ranking.names)}"] * (len(names) > NAMED)
            parts.append(f"{place.name}: {joined([*names[:NAMED], *more])}")
        else:
            silent.append(place.name)
    found = [f"**Which architecture?** {'; '.join(parts)}."] if parts else []
    if silent:
        found.append(f"No significant difference from the best on {joined(silent)}.")
    # Where all are at the ceiling or at chance ranks are noise.
    ranked = [ranking for place, ranking in zip(places, rankings, strict=True) if ranking.n and place.ranks]
    shared = set.intersection(*(set(ranking.names) for ranking in ranked)) if len(ranked) > 1 else set()
    if len(shared) > 1:
        means = {
            name: statistics.mean(r.mean_ranks[r.names.index(name)] for r in ranked)
            for name in ranked[0].names
            if name in shared
        }
        order = sorted(means, key=means.__getitem__)[:5]
        ranks = ", ".join(f"{_name(name)} {means[name]:.1f}" for name in order)
        found.append(f"Mean rank over {counted(len(ranked), 'place')}, of {len(shared)} (no test): {ranks}.")
    return found


def _at_chance(places: Sequence[Place]) -> list[str]:
    """Where a 95% interval reaches down to chance."""
    parts = []
    for place in places:
        names = [
            _name(row.architecture) for row in place.rows if row.accuracy.n > 1 and row.accuracy.low <= place.chance
        ]
        if names:
            parts.append(f"{place.name}: {joined(names)}")
    return [f"**Not significantly above chance** (the 95% interval reaches it): {'; '.join(parts)}."] if parts else []


def _scans(places: Sequence[Place]) -> list[str]:
    """Hilbert minus rows where a task stands under both, a test an architecture, Holm over them."""
    found = []
    for first in places:
        second = next(
            (p for p in places if (p.setting, p.task, p.beside) == (first.setting, first.task, PRIMARY[1])), None
        )
        if first.beside != PRIMARY[0] or second is None:
            continue
        effects = _differences(first, second)
        if not effects:
            continue
        names, differences = list(effects), list(effects.values())
        corrected = holm(
            [corrected_t_p(values, first.test_train_ratio) if len(values) > 1 else 1.0 for values in differences]
        )
        significant = [
            f"{_name(name)} {signed(mean_interval(values, test_train_ratio=first.test_train_ratio))}"
            for name, values, p in zip(names, differences, corrected, strict=True)
            if p <= 0.05
        ]
        median = statistics.median(float(np.mean(values)) for values in differences)
        found.append(
            f"**Hilbert instead of rows** on {first.name.partition(', ')[0]}: median over"
            f" {counted(len(names), 'architecture')} {median:+.3f}; significant (paired t, Holm):"
            f" {'; '.join(significant) or 'none'}."
        )
    return found


def _differences(first: Place, second: Place) -> dict[str, list[float]]:
    others = {row.architecture: row.scores for row in second.rows}
    found = {}
    for row in first.rows:
        scores, other = row.scores, others.get(row.architecture, {})
        seeds = sorted(scores.keys() & other.keys())
        if seeds:
            found[row.architecture] = [other[seed] - scores[seed] for seed in seeds]
    return found


def _state(places: Sequence[Place]) -> list[str]:
    parts = []
    for place in places:
        found = recall.correlation_of(place)
        if found is not None and not math.isnan(found.rho) and place.task.startswith(recall.RECALL):
            parts.append(f"{found.rho:+.2f} (p={found.p:.2g}, {found.orders} architectures) on {place.name}")
    return [f"**State**: rank correlation of accuracy with the size of the state {'; '.join(parts)}."] if parts else []


def _rates(places: Sequence[Place], trials: Trials) -> list[str]:
    """How far the tried learning rates lie apart in validation accuracy: the median over places."""
    spans: dict[str, list[float]] = {}
    for place in places:
        for row in place.rows:
            scores = trials.scores(row)
            if len(scores) > 1:
                spans.setdefault(row.architecture, []).append(max(scores.values()) - min(scores.values()))
    if not spans:
        return []
    medians = {name: statistics.median(values) for name, values in spans.items()}
    order = sorted(medians, key=medians.__getitem__)
    ends = [f"{_name(name)} {medians[name]:.3f}" for name in (order[0], order[-1])]
    return [
        "**Learning rate**: between the best and the worst rate tried lie"
        f" {statistics.median(medians.values()):.3f} of validation accuracy in the median architecture, from {ends[0]}"
        f" to {ends[1]} (medians over places)."
    ]


def sureness(places: Sequence[Place], rankings: Sequence[Ranking]) -> str:
    """How many seeds, in how many places anything is significant, how wide the intervals are."""
    seeds = sorted({ranking.n for ranking in rankings})
    halves = [row.accuracy.half for place in places for row in place.rows if row.accuracy.n > 1]
    text = (
        f"**How sure**: {joined([str(n) for n in seeds])} seeds; architectures differ significantly in"
        f" {sum(ranking.decided for ranking in rankings)} of {counted(len(rankings), 'place')}."
    )
    if halves:
        text += f" The median 95% interval is ± {statistics.median(halves):.3f}, the widest ± {max(halves):.3f}."
    return text
