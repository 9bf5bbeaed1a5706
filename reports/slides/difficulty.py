"""How the difficulty was chosen: the levels that were tried along rows, and the rule."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.contracts.outcome import Status
from harness.registry.cells import display_spec
from harness.store.record import Record

from ..text import table
from .study import TARGET, chosen_level, medians, noise_of


def difficulty(records: Sequence[Record]) -> list[str]:
    """The table of levels; nothing without runs of them."""
    if not records:
        return []
    found, level = medians(records), chosen_level(records)
    mixers = list(dict.fromkeys(record["architecture"] for record in records))
    rows = []
    for noise, median in found.items():
        row = {"noise": f"**{noise:g}**" if noise == level else f"{noise:g}"}
        for mixer in mixers:
            scores = [
                record["test_accuracy"]
                for record in records
                if (record["architecture"], noise_of(record), record["status"]) == (mixer, noise, Status.DONE)
            ]
            row[display_spec("architecture", mixer)] = f"{statistics.fmean(scores):.3f}" if scores else "none"
        rows.append(row | {"median": f"{median:.3f}"})
    at_level = [record for record in records if noise_of(record) == level]
    ceilings = {
        name: next((record[key] for record in at_level if record.get(key) is not None), None)
        for name, key in (
            ("order-blind ceiling", "order_blind_ceiling"),
            ("position-marginal ceiling", "position_marginal_ceiling"),
            ("oracle", "oracle_accuracy"),
        )
    }
    known = [f"{name} {value:.3f}" for name, value in ceilings.items() if value is not None]
    seeds = sorted({record["seed"] for record in records})
    outside = min(abs(median - TARGET) for median in found.values()) > 0.2
    return [
        "## How was the difficulty chosen?",
        "By a rule, before the study compares any two orders: along rows alone, on held-out slides, the noise at"
        f" which the median of the mixers that see an order stands nearest to {TARGET}, half-way between chance and 1."
        f" Test accuracy of seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}:",
        table(rows),
        *(["**No level is near the middle: what follows stands at the floor or the ceiling.**"] if outside else []),
        f"At noise={level:g}: chance 0.500, {', '.join(known)}.",
    ]
