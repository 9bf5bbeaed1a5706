"""The trivial controls of a request's tables: the store's where it has them, fitted now and kept there otherwise."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from typing import Any

from harness.analysis.controls import Controls
from harness.analysis.summary import Row, TableKey, tables_of
from harness.contracts.errors import Unsupported, UserError
from harness.contracts.outcome import Status
from harness.registry.cells import protocols
from harness.store.provenance import provenance
from harness.store.store import Store
from harness.training.controls import FITTED, TESTED, controls_of

CONTROLS = "controls"
"""The cell of the row, beside the timings, that keeps the controls of a task in the store."""


def controls_by_table(store: Store, rows: Sequence[Row], *, overwrite: bool = False) -> dict[TableKey, Controls]:
    """The controls of each table in which a run was done, on the test draw of its first seed.

    A control that breaks hides no result: its table goes without, and a line on standard error says so.
    """
    found: dict[TableKey, Controls] = {}
    for table in tables_of(rows):
        seeds = [record["seed"] for row in table for record in row.records if record["status"] == Status.DONE]
        if seeds:
            try:
                found[table[0].table] = _controls(store, table[0], min(seeds), overwrite)
            except (UserError, Unsupported):
                continue  # a task that is not to be had here any more; its records are
            except Exception as error:
                print(f"warning: no controls of {table[0].task}: {type(error).__name__}: {error}", file=sys.stderr)
    return found


def _controls(store: Store, row: Row, seed: int, overwrite: bool) -> Controls:
    entry, values = protocols.parse(row.protocol)
    protocol: Any = entry.create_light(values)
    counts = {
        "train_samples": min(FITTED, getattr(protocol, "train_count", FITTED)),
        "test_samples": min(TESTED, getattr(protocol, "test_samples", TESTED)),
    }
    here = provenance()
    place = {"cell": CONTROLS, "setting": f"{row.task} seed {seed} {counts}", "device": "cpu", "dtype": "float64"}
    place |= {"source": str(here["commit"]), "machine": here["machine"]}
    known: list[dict[str, Any]] = [each for each in store.timings() if place.items() <= each.items()]
    if overwrite or not known:
        scores = controls_of(row.task, seed, **counts)
        known = [place | {"session": secrets.token_hex(8), "scores": {"seed": seed, **scores}}]
        store.write_timings(known)
    return known[-1]["scores"]
