"""Numbers and tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.ranking import Correlation
from harness.statistics import Interval
from harness.tables import markdown_table

from .results import name_of


def table(rows: Sequence[dict[str, str]]) -> str:
    """A table from rows; a column a name that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return markdown_table({name: [row.get(name, "") for row in rows] for name in names})


def signed(interval: Interval) -> str:
    """A difference and its interval."""
    if interval.n < 2:
        return f"{interval.mean:+.3f}"
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def correlation_text(found: Correlation) -> str:
    """Spearman's rho, its interval and its p."""
    if math.isnan(found.rho):
        return "all alike"
    interval = "" if math.isnan(found.low) else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{found.rho:+.2f}{interval}, p={found.p:.3g}"


def orders_text(orders: Sequence[str]) -> str:
    """Names of orders, joined."""
    return ", ".join(name_of("scan", order) for order in orders)
