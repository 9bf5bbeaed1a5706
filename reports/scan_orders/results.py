"""The records of one setting, by task, architecture and order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from harness.registry.cells import display_spec
from harness.store.record import Record

from ..figures import colours_of
from ..places import Place, Setting, places_of, position
from .study import ARCHITECTURES, ORDERS, TASKS


class Results:
    """Places of one setting.

    tasks, architectures, orders: canonical texts, as the study lists them. places: a task and an architecture each.
    """

    def __init__(self, places: Sequence[Place]):
        self.setting = places[0].setting
        self.tasks = _sorted(TASKS, (place.task for place in places))
        self.architectures = _sorted(ARCHITECTURES, (place.beside for place in places))
        self.orders = _sorted(ORDERS, (row.scan for place in places for row in place.rows))
        self.places = sorted(places, key=lambda p: (self.tasks.index(p.task), self.architectures.index(p.beside)))
        self.rows = [row for place in self.places for row in place.rows]

    def place(self, task: str, architecture: str) -> Place | None:
        return next((p for p in self.places if (p.task, p.beside) == (task, architecture)), None)

    @cached_property
    def colours(self) -> dict[str, str]:
        """An order's colour in every figure."""
        return colours_of(self.orders)

    @cached_property
    def titles(self) -> dict[Place, str]:
        """What stands above a place's panel."""
        return {place: "\n".join(place.heading.values()) for place in self.places}

    def names(self, axis: str) -> list[str]:
        """Tasks, architectures or orders without what stands at its default."""
        texts = {"task": self.tasks, "architecture": self.architectures, "scan": self.orders}[axis]
        return [display_spec(axis, text) for text in texts]


def results_of(records: Iterable[Record], timings: Iterable[dict[str, Any]]) -> list[Results]:
    """For each setting, that with most runs first. records: of any purpose and protocol."""
    records = [record for record in records if record["protocol"].startswith("standard:")]
    groups: dict[Setting, list[Place]] = {}
    for place in places_of(records, list(timings), axis="scan", listed=ORDERS):
        groups.setdefault(place.setting, []).append(place)
    found = [Results(places) for places in groups.values()]
    return sorted(found, key=lambda results: -sum(len(row.records) for row in results.rows))


def _sorted(listed: Sequence[str], found: Iterable[str]) -> list[str]:
    """As the study lists them, others behind in the order in which they came."""
    return sorted(dict.fromkeys(found), key=lambda text: position(text, listed))
