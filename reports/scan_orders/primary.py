"""The comparison that was declared before anything ran: rows against Hilbert, for every task and architecture."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.statistics import Comparison, compare, correct
from harness.summary import PRIMARY

from ..words import counted
from .markdown import signed, table
from .results import Results, name_of


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Hilbert minus horizontal on one task with one architecture. left_out: runs without a partner."""

    task: str
    architecture: str
    comparison: Comparison
    left_out: int

    @property
    def differs(self) -> bool:
        """Whether the corrected test tells a difference."""
        return self.comparison.verdict.startswith("difference")

    @property
    def undecidable(self) -> bool:
        """Whether no result could have come out significant with so many seeds."""
        return self.comparison.verdict.startswith("undecidable")


def effects_of(results: Results) -> list[Effect]:
    """The primary family, paired by seed, corrected by Holm over itself; a diverged run counts as chance."""
    found = []
    for task, architecture in results.places:
        first, second = (results.scores(task, architecture, order) for order in PRIMARY)
        seeds = sorted(first.keys() & second.keys())
        if seeds:
            scores = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
            comparison = compare(*scores, resampled=results.resampled(task))
            left_out = sum(
                len(row.records) for order in PRIMARY if (row := results.row(task, architecture, order)) is not None
            ) - 2 * len(seeds)
            found.append(Effect(task=task, architecture=architecture, comparison=comparison, left_out=left_out))
    corrected = correct([effect.comparison for effect in found])
    return [replace(effect, comparison=comparison) for effect, comparison in zip(found, corrected, strict=True)]


def section(results: Results, effects: list[Effect]) -> list[str]:
    """The family as a table."""
    lines = ["## Is Hilbert better than rows?", ""]
    if not effects:
        return [*lines, "Not told: no seed has a run under both orders.", ""]
    lines += [
        f"Declared before anything ran: {counted(len(effects), 'comparison')}, a task and an architecture each. The"
        " effect is test accuracy under hilbert minus that under horizontal, paired by seed, with a 95% t interval (not"
        " corrected); p is that of the two-sided sign-flip permutation test. Holm corrects over the family. Where even"
        " the smallest p that so many seeds can give, times the size of the family, is beyond .05, the verdict is"
        ' "undecidable". "Detectable" is the effect that a paired t test would find with power .8 at .05 / family.'
        " A run that diverged counts as chance.",
        "",
    ]
    if any(effect.comparison.resampled for effect in effects):
        lines += [
            "Tasks marked * are cross-validated: their seeds are splits of one data set. Interval, p (a t test) and"
            " detectable effect then carry the correction of Nadeau and Bengio (2003).",
            "",
        ]
    return [*lines, table([_row(results, effect) for effect in effects]), ""]


def _row(results: Results, effect: Effect) -> dict[str, str]:
    comparison = effect.comparison
    means = [results.scores(effect.task, effect.architecture, order).values() for order in PRIMARY]
    first, second = (f"{sum(values) / len(values):.3f}" for values in means)
    return {
        "task": name_of("task", effect.task) + "*" * bool(comparison.resampled),
        "architecture": name_of("architecture", effect.architecture),
        "horizontal": first,
        "hilbert": second,
        "effect": signed(comparison.effect),
        "seeds": f"{comparison.effect.n}" + (f" ({effect.left_out} runs unpaired)" if effect.left_out else ""),
        "p": f"{comparison.p:.3g}",
        "Holm": f"{comparison.corrected:.3g}",
        "smallest p": f"{comparison.smallest:.3g}" if comparison.smallest else "none",
        "detectable": "none" if effect.undecidable else f"{comparison.detectable:.3f}",
        "verdict": comparison.verdict,
    }
