"""A record in parts: facts that many runs share, the run's own values, and what is read on demand (curves, say).

The store keeps each shared part once. So a hundred thousand runs are read in a fraction of the time that their whole
texts would take, and without what only a page's curves need.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from .record import FIELDS, Record

GROUPS = (
    ("task", "grid", "classes", "test_train_ratio", "chance_accuracy", "threshold_accuracy", "order_blind_ceiling",
     "position_marginal_ceiling", "oracle_accuracy"),
    ("architecture", "kernel", "parameters", "width", "state_size", "flops_per_token"),
    ("scan", "versions"),
    ("protocol", "learning_rate", "steps", "test_samples", "purpose", "lr_selection"),
    ("cell", "source"),
    ("device", "dtype", "threads", "replicas", "cuda_graph", "training_note", "machine", "torch_version",
     "mamba_ssm_version", "numpy_version", "python_version", "harness_version", "commit", "dirty", "deterministic",
     "record_schema", "record_version"),
)  # fmt: skip
"""Fields that runs of one task, architecture and so on have in common. Only size and speed depend on this list: another
of `FIELDS` is a run's own, and what is not among them is read on demand."""

GROUP_OF = {name: number for number, names in enumerate(GROUPS, start=1) for name in names}
SHARED_PARTS = 1 + len(GROUPS)
"""Before a run's own values stand its layout and its groups."""

Find: TypeAlias = Callable[[str], Mapping[str, Any] | None]
"""key -> the whole record."""


class Layout:
    """Which names a packed run's own values have, and which of its fields are read on demand."""

    def __init__(self, own: list[str], heavy: list[str]):
        self.own, self.heavy = own, frozenset(heavy)
        self.position = {name: number for number, name in enumerate(own, start=SHARED_PARTS)}


class LightRecord(Mapping[str, Any]):
    """A record that holds its `FIELDS`, and reads the others, which are heavy, again each time one is asked for.

    Args:
        values: layout, groups, own values. find: gives the whole record under a key.
    """

    __slots__ = ("find", "parts")

    def __init__(self, values: list[Any], find: Callable[[str], Mapping[str, Any] | None]):
        self.parts, self.find = values, find

    def __getitem__(self, name: str) -> Any:
        layout = self.parts[0]
        position = layout.position.get(name)
        if position is not None:
            return self.parts[position]
        if name in layout.heavy:
            return (self.find(self["key"]) or {})[name]
        return self.parts[GROUP_OF[name]][name]

    def __iter__(self) -> Iterator[str]:
        for group in self.parts[1:SHARED_PARTS]:
            yield from group
        yield from self.parts[0].own
        yield from self.parts[0].heavy

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def light(self) -> Record:
        """The fields that are held, as a dict."""
        values, record = self.parts, {}
        for group in values[1:SHARED_PARTS]:
            record.update(group)
        record.update(zip(values[0].own, values[SHARED_PARTS:], strict=True))
        return record


def split(record: Mapping[str, Any]) -> tuple[list[str], list[Any], str | None]:
    """The shared parts' texts (layout first), the own values, and the heavy part's text; the inverse is `shared_from`.

    Raises:
        TypeError: a value that JSON does not know.
    """
    groups: list[dict[str, Any]] = [{} for _ in GROUPS]
    own: dict[str, Any] = {}
    heavy: dict[str, Any] = {}
    for name, value in record.items():
        if name in GROUP_OF:
            groups[GROUP_OF[name] - 1][name] = value
        elif name in FIELDS:
            own[name] = value
        else:
            heavy[name] = value
    names = sorted(own)
    layout = [names, sorted(heavy)]
    return [text_of(part) for part in (layout, *groups)], [own[n] for n in names], text_of(heavy) if heavy else None


def shared_from(text: str) -> Layout | dict[str, Any]:
    """A shared part from its text."""
    found = json.loads(text)
    return Layout(*found) if isinstance(found, list) else found


def text_of(value: Any) -> str:
    """JSON, the same for the same value: names in order, no spaces. Python's NaN and Infinity stay."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@contextmanager
def without_collector() -> Iterator[None]:
    """For many small lists that hold no circles: looking through them again and again costs a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Shared:
    """Shared parts of records that come as dicts, each once."""

    def __init__(self) -> None:
        self._known: dict[str, Layout | dict[str, Any]] = {}

    def light(self, record: Mapping[str, Any], find: Find | None = None) -> LightRecord:
        """The light form of a record, which is kept for its heavy fields unless `find` gives them."""
        if isinstance(record, LightRecord):
            return record
        texts, own, _ = split(record)
        for text in texts:
            if text not in self._known:
                self._known[text] = shared_from(text)
        return LightRecord([*(self._known[text] for text in texts), *own], find or (lambda _: record))
