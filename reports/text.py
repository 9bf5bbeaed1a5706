"""Words, numbers and tables on pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from harness.analysis.censored import Median
from harness.analysis.ranking import Correlation
from harness.analysis.statistics import Interval
from harness.analysis.summary import Row
from harness.analysis.tables import markdown_table
from harness.registry.cells import display_spec

Rows = Sequence[dict[str, str]]

STEPS = (
    "Test accuracy: mean over seeds with a 95% t interval. Steps: median over all seeds until validation accuracy was"
    " half-way from chance to 1, a run that never got there counts as later than any, with a distribution-free interval"
    " (below six seeds it is open above), and how many got there."
)


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def counted(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def names_text(axis: str, texts: Sequence[str]) -> str:
    """Specs without what stands at its default, with commas between."""
    return ", ".join(display_spec(axis, text) for text in texts)


def bullets(texts: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {text}" for text in texts)


def markdown(blocks: Iterable[str]) -> str:
    """A Markdown text of blocks; empty ones are left out."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def table(rows: Rows) -> str:
    """A Markdown table; a column for each name for which any row has something."""
    names = dict.fromkeys(name for row in rows for name, text in row.items() if text)
    return markdown_table({name: [row.get(name, "") for row in rows] for name in names})


def span(value: float, low: float, high: float, form: str | Callable[[float], str] = ".3f") -> str:
    """`0.823 [0.801, 0.845]`; the value alone where there are no bounds."""
    value_text, low_text, high_text = (
        form(number) if callable(form) else format(number, form) for number in (value, low, high)
    )
    return value_text if math.isnan(low) else f"{value_text} [{low_text}, {high_text}]"


def interval_text(interval: Interval, form: str = ".3f") -> str:
    """A mean and its interval; nothing without values."""
    return span(interval.mean, interval.low, interval.high, form) if interval.n else ""


def signed(interval: Interval) -> str:
    """A difference and its interval."""
    return interval_text(interval, "+.3f")


def correlation_text(found: Correlation) -> str:
    """Spearman's rho, its interval and its p."""
    return (
        "all alike" if math.isnan(found.rho) else f"{span(found.rho, found.low, found.high, '+.2f')}, p={found.p:.3g}"
    )


def median_text(median: Median, budget: int | None = None) -> str:
    """`120 [90, 150], 10 of 10`: the median, its interval and how many arrived; beyond the budget it says so."""
    beyond = f">{budget}" if budget else "never"
    if not median.reached:
        return f"{beyond}, 0 of {median.n}" if budget else f"0 of {median.n}"
    steps = span(median.value, median.low, median.high, lambda n: beyond if n == math.inf else f"{n:,.0f}")
    return f"{steps}, {median.reached} of {median.n}"


def milliseconds(seconds: float | None) -> str:
    """Three digits, or whole ones from a second on; nothing where nothing was measured."""
    return "" if seconds is None else f"{seconds * 1e3:,.3g}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def steps_text(row: Row) -> str:
    """Median steps until half-way from chance to 1; nothing where no run ended."""
    return median_text(row.steps_to_threshold, row.steps) if row.done else ""
