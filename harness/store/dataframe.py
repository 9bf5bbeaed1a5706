"""Records as a pandas DataFrame: a row a run, the speeds of its cell joined on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .packing import GROUP_OF, LightRecord, Shared
from .provenance import is_stale
from .record import FIELDS
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

SPEED_COLUMNS: dict[str, type] = {
    "train_tokens_per_second": float, "forward_tokens_per_second": float, "step_seconds": float,
    "forward_seconds": float, "permutation_seconds": float, "peak_bytes": int, "relative_error": float,
    "speed_note": str,
}  # fmt: skip
DERIVED: dict[str, type] = {"stale": bool, **SPEED_COLUMNS}
"""What is no part of a record: whether today's source differs, and the speeds of its cell."""

COLUMNS = (*FIELDS, *DERIVED)
"""Columns that a frame always has, an empty store's too; `curve` comes on request."""


class Column(NamedTuple):
    """`values[codes[row]]` where few values are distinct, else `values[row]`."""

    values: list[Any]
    codes: np.ndarray | None = None


class Derived:
    """What is said of a run beside its record, found once for all runs of a cell, source, device and format."""

    def __init__(self, timings: Iterable[Mapping[str, Any]]):
        self._latest = {(row["cell"], row["device"], row["dtype"]): row for row in timings}
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def of(self, record: LightRecord) -> dict[str, Any]:
        place = record["cell"], record["device"], record["dtype"], record.get("source")
        if place not in self._known:
            speed = self._latest.get(place[:3], {})
            self._known[place] = {"stale": is_stale(record), **{name: speed.get(name) for name in SPEED_COLUMNS}}
        return self._known[place]


def columns_of(records: Sequence[LightRecord], derived: Derived) -> dict[str, Column]:
    """The columns of a frame, in their order; a field that a record lacks is None."""
    rows = [record.parts for record in records]
    groups = {number: _distinct([row[number] for row in rows]) for number in set(GROUP_OF.values())}
    (_, cells), (settings, codes) = (groups[GROUP_OF[name]] for name in ("cell", "device"))
    # Source and cell, device and format decide what is derived: found once for each pair, not for each run.
    _, firsts, codes = np.unique(cells * max(1, len(settings)) + codes, return_index=True, return_inverse=True)
    facts = [derived.of(records[first]) for first in firsts], codes
    layouts, layout_codes = _distinct([row[0] for row in rows])
    columns: dict[str, Column] = {}
    for name in COLUMNS:
        if name in GROUP_OF or name in DERIVED:
            found = groups[GROUP_OF[name]] if name in GROUP_OF else facts
            columns[name] = Column([value.get(name) for value in found[0]], found[1])
        else:
            places = [layout.position.get(name) for layout in layouts]
            if len({*places}) == 1 and (at := places[0]) is not None:
                columns[name] = Column([row[at] for row in rows])
            else:
                found = zip((places[code] for code in layout_codes), rows, strict=True)
                columns[name] = Column([None if at is None else row[at] for at, row in found])
    return columns


def _distinct(parts: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Shared parts of records, each once, and which of them each record has."""
    ids = list(map(id, parts))
    first = dict(zip(ids, parts, strict=True))
    numbers = {each: number for number, each in enumerate(first)}
    return list(first.values()), np.fromiter(map(numbers.__getitem__, ids), dtype=np.int32, count=len(ids))


def frame_of(records: Sequence[Mapping[str, Any]], timings: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A DataFrame with `COLUMNS`, a row a record; each cell's latest timing on the same device is joined."""
    import pandas as pd

    shared = Shared()
    columns = columns_of([shared.light(record) for record in records], Derived(timings))
    del records  # each column gives its part of them free below

    def series(column: Column) -> Any:
        if column.codes is None:
            return pd.Series(column.values)
        text = any(isinstance(value, str | list | dict) for value in column.values)
        # A text stands in memory once, however many rows have it.
        return pd.Series(column.values, dtype=object if text else None).to_numpy()[column.codes]

    return pd.DataFrame({name: series(columns.pop(name)) for name in COLUMNS}, copy=False)


def load(path: str | Path, *, tuning: bool = False, curves: bool = False) -> pd.DataFrame:
    """Read a store into a DataFrame: final runs; tuning runs and a column `curve` on request.

    Raises:
        UserError: no such file, or not a store.
    """
    with Store(path, read_only=True) as store:
        if not curves:
            return frame_of(store.runs(tuning=tuning), store.timings())
        records = store.records(tuning=tuning)
        return frame_of(records, store.timings()).assign(curve=[record.get("curve") for record in records])
