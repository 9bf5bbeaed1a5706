"""The comparison that was declared before anything ran: rows against Hilbert, for every task and architecture."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.analysis.statistics import Comparison, Verdict, correct
from harness.analysis.summary import PRIMARY, compare_rows
from harness.analysis.tables import verdict_text

from ..places import Place
from ..text import counted, signed, table
from .results import Results


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Hilbert minus horizontal in one place. left_out: runs without a partner."""

    place: Place
    comparison: Comparison
    left_out: int

    @property
    def verdict(self) -> Verdict:
        return self.comparison.verdict


def effects_of(results: Results) -> list[Effect]:
    """The primary family, paired by seed, corrected by Holm over itself; a diverged run counts as chance."""
    found = []
    for place in results.places:
        first, second = (place.row(order) for order in PRIMARY)
        comparison = compare_rows(first, second) if first and second else None
        if first and second and comparison:
            left_out = len(first.records) + len(second.records) - 2 * comparison.effect.n
            found.append(Effect(place=place, comparison=comparison, left_out=left_out))
    corrected = correct([effect.comparison for effect in found])
    return [replace(effect, comparison=comparison) for effect, comparison in zip(found, corrected, strict=True)]


def section(effects: list[Effect]) -> list[str]:
    """The family as a table."""
    lines = ["## Is Hilbert better than rows?"]
    if not effects:
        return [*lines, "Not known: no seed has a run under both orders."]
    lines += [
        f"Declared before anything ran: {counted(len(effects), 'comparison')}, a task and an architecture each. The"
        " effect is test accuracy under hilbert minus that under horizontal, paired by seed, with a 95% t interval (not"
        " corrected); p is that of the two-sided sign-flip permutation test. Holm corrects over the family. Where even"
        " the smallest p that so many seeds can give, times the size of the family, is beyond .05, the verdict is"
        ' "underpowered". "Detectable" is the effect that a paired t test would find with power .8 at .05 / family.'
        " A run that diverged counts as chance.",
    ]
    if any(effect.comparison.test_train_ratio for effect in effects):
        lines += [
            "Tasks marked * are cross-validated: their seeds are splits of one data set. Interval, p (a t test) and"
            " detectable effect then carry the correction of Nadeau and Bengio (2003).",
        ]
    return [*lines, table([_row(effect) for effect in effects])]


def _row(effect: Effect) -> dict[str, str]:
    comparison = effect.comparison
    means = {}
    for order in PRIMARY:
        row = effect.place.row(order)
        means[order] = f"{row.accuracy.mean:.3f}" if row else ""
    return {
        **effect.place.heading,
        **means,
        "effect": signed(comparison.effect),
        "seeds": f"{comparison.effect.n}" + (f" ({effect.left_out} runs unpaired)" if effect.left_out else ""),
        "p": f"{comparison.p:.3g}",
        "Holm": f"{comparison.corrected:.3g}",
        "smallest p": f"{comparison.smallest:.3g}" if comparison.smallest else "none",
        "detectable": "none" if effect.verdict is Verdict.UNDERPOWERED else f"{comparison.detectable:.3f}",
        "verdict": verdict_text(comparison),
    }
