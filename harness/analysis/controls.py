"""How trivial controls stand in a table: a line above it, and a mark at what stays below logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from .summary import Row, TableKey

Controls: TypeAlias = Mapping[str, Any]
"""Accuracy by the name of a control, None where it was left out; and `seed`, whose test draw they are scored on."""

BY_TABLE: TypeAlias = Mapping[TableKey, Controls]
"""The controls of each table."""

BASELINE = "logistic_regression"
MARK = " below logistic regression"


def control_line(controls: Controls) -> str:
    """`controls on the test draw of seed 0: majority 0.500, logistic regression 0.507, ...`; those left out are named.

    >>> control_line({"seed": 0, "majority": 0.5, "logistic_regression": None})
    'controls on the test draw of seed 0: majority 0.500; left out: logistic regression'
    """
    names = [name for name in controls if name != "seed"]
    known = [f"{_words(name)} {controls[name]:.3f}" for name in names if controls[name] is not None]
    missing = [_words(name) for name in names if controls[name] is None]
    without = f"; left out: {', '.join(missing)}" * bool(missing)
    return f"controls on the test draw of seed {controls['seed']}: {', '.join(known) or 'none'}{without}"


def below_baseline(row: Row, controls: Controls | None) -> bool:
    """Whether a cell's mean test accuracy stays below that of logistic regression."""
    baseline: float | None = controls.get(BASELINE) if controls else None
    return bool(row.accuracy.n) and baseline is not None and row.accuracy.mean < baseline


def mark_of(row: Row, controls: Controls | None) -> str:
    """What is put behind a mean test accuracy."""
    return MARK * below_baseline(row, controls)


def _words(name: str) -> str:
    return name.replace("_", " ")
