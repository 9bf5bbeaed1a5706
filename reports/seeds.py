"""How many seeds would show a difference of a wanted size, from the spread that the seeds so far show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.analysis.statistics import Comparison, deviation_interval, seeds_to_find
from harness.analysis.summary import Finding
from harness.analysis.tables import finding_text
from harness.registry.cells import display_spec

from .text import counted, table

EFFECTS = (0.01, 0.02, 0.05)
"""Differences of accuracy that one may wish to see."""


def largest_text(findings: Sequence[Finding]) -> str:
    """Of declared comparisons that of the largest effect, in a sentence."""
    largest = max(findings, key=lambda finding: abs(finding.comparison.effect.mean))
    return f"Of {counted(len(findings), 'declared comparison')} the largest effect: {finding_text(largest)}."


def section(findings: Sequence[Finding]) -> list[str]:
    """Markdown lines for the declared primary comparisons of one table; none where no seed has both cells."""
    primary = [finding for finding in findings if finding.primary and finding.comparison.effect.n > 1]
    if not primary:
        return []
    first = primary[0].comparison
    return [
        f"Seeds that would show a difference of so much, with power .8 at {first.level:g} / {primary[0].family},"
        " by the paired test; from the spread of the differences so far, and in brackets from the bounds of that"
        " spread's 95% interval:",
        table(
            [
                {
                    "architecture": display_spec("architecture", finding.architecture),
                    "difference": f"{display_spec('scan', finding.second)} minus {display_spec('scan', finding.first)}",
                    "spread": f"{finding.comparison.deviation:.3f}",
                    "seeds now": str(finding.comparison.effect.n),
                    **{
                        f"{effect:g} needs": needed_text(finding.comparison, effect, family=finding.family)
                        for effect in EFFECTS
                    },
                }
                for finding in primary
            ]
        ),
    ]


def needed_text(comparison: Comparison, effect: float, *, family: int) -> str:
    """`34 [15, 120]`: seeds by the spread, and by its bounds. Nothing where all differences are alike."""
    if comparison.deviation == 0 or math.isnan(comparison.deviation):
        return ""
    bounds = deviation_interval(comparison.deviation, comparison.effect.n)
    value, low, high = (
        "none" if found is None else f"{found:,}"
        for found in (
            seeds_to_find(effect, deviation, comparison.level / family, test_train_ratio=comparison.test_train_ratio)
            for deviation in (comparison.deviation, *bounds)
        )
    )
    return f"{value} [{low}, {high}]"
