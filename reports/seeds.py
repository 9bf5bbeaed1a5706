"""How many seeds would tell a difference of a wanted size apart, from the spread that the seeds so far show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.cells import short
from harness.statistics import Comparison, deviation_interval, seeds_to_find
from harness.summary import Finding
from harness.tables import markdown_table

EFFECTS = (0.01, 0.02, 0.05)
"""Differences of accuracy that one may wish to tell apart."""


def section(findings: Sequence[Finding]) -> list[str]:
    """Markdown lines for the declared primary comparisons of one table; none where no seed has both cells."""
    primary = [finding for finding in findings if finding.primary and finding.comparison.effect.n > 1]
    if not primary:
        return []
    first = primary[0].comparison
    return [
        f"Seeds that would tell a difference of so much apart, with power .8 at {first.level:g} / {primary[0].family},"
        " by the paired test; from the spread of the differences so far, and in brackets from the bounds of that"
        " spread's 95% interval:",
        "",
        markdown_table(
            {
                "architecture": [short("architecture", finding.architecture) for finding in primary],
                "difference": [f"{short('scan', f.second)} minus {short('scan', f.first)}" for f in primary],
                "spread": [f"{finding.comparison.deviation:.3f}" for finding in primary],
                "seeds now": [str(finding.comparison.effect.n) for finding in primary],
                **{
                    f"{effect:g} needs": [needed_text(f.comparison, effect, family=f.family) for f in primary]
                    for effect in EFFECTS
                },
            }
        ),
        "",
    ]


def needed_text(comparison: Comparison, effect: float, *, family: int) -> str:
    """`34 [15, 120]`: seeds by the spread, and by its bounds. Nothing where all differences are alike."""
    if comparison.deviation == 0 or math.isnan(comparison.deviation):
        return ""
    bounds = deviation_interval(comparison.deviation, comparison.effect.n)
    value, low, high = (
        "none" if found is None else f"{found:,}"
        for found in (
            seeds_to_find(effect, deviation, comparison.level / family, resampled=comparison.resampled)
            for deviation in (comparison.deviation, *bounds)
        )
    )
    return f"{value} [{low}, {high}]"
