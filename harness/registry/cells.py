"""Cells, runs and their keys: what is compared, in canonical text."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from harness.contracts import Scan, Task
from harness.contracts.errors import Unsupported, UserError
from harness.contracts.protocol import Protocol

from .entries import Entry, Registry, architectures, protocols, scans, tasks
from .parameters import Value
from .routing import scan_from
from .specs import format_spec, parse_scan, parse_spec

T = TypeVar("T")

REGISTRIES = {"task": tasks, "architecture": architectures, "scan": scans, "protocol": protocols}

RECORD_VERSION = 1
"""Rises when what a run does with the same specs changes (training loop, data layer, frame)."""

FINAL = "final"
TUNING = "tuning"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """task x architecture x scan x protocol, each a canonical spec with all defaults filled in, and their versions."""

    task: str
    architecture: str
    scan: str
    protocol: str
    versions: tuple[int, int, int, int]

    @property
    def key(self) -> str:
        return _hash(self.identity)

    @property
    def identity(self) -> dict[str, object]:
        """What the key hashes, as JSON."""
        return vars(self) | {"versions": list(self.versions), "record_version": RECORD_VERSION}

    def check(self) -> None:
        """Make the light parts once; what cannot run here is its record's to say.

        Raises:
            UserError: parameters that do not go together.
        """
        for make in (task_of, scan_of, protocol_of):
            with contextlib.suppress(Unsupported):
                make(self)

    def with_learning_rate(self, rate: float) -> Cell:
        """The same cell at another learning rate."""
        spec = parse_spec(self.protocol, axis="protocol")
        changed = replace(spec, parameters={**spec.parameters, "learning_rate": repr(float(rate))})
        return cell_from(self.task, self.architecture, self.scan, format_spec(changed))


@dataclass(frozen=True, kw_only=True)
class LrSelection:
    """How a learning rate was chosen: that of the best validation score among `rates`, over `seeds` held-out seeds."""

    rates: tuple[float, ...]
    seeds: int

    def to_json(self) -> dict[str, Any]:
        """As a record holds it: `{"rates": [...], "seeds": n}`."""
        return {"rates": list(self.rates), "seeds": self.seeds}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> LrSelection | None:
        """Of a record, None where its rate was not tuned.

        Records of before this type hold a text under "selection": "untuned", or "best of 0.001 0.003 on 2 tuning
        seeds". They are read here and nowhere else.
        """
        if "lr_selection" in record:
            found = record["lr_selection"]
            return found and LrSelection(rates=tuple(found["rates"]), seeds=found["seeds"])
        if record["selection"] == UNTUNED:
            return None
        rates, _, seeds = record["selection"].removeprefix("best of ").partition(" on ")
        return LrSelection(rates=tuple(map(float, rates.split())), seeds=int(seeds.split()[0]))


UNTUNED = "untuned"
"""Stands in the hashed identity of a run, under "selection", where no rate was chosen: as it did in old records."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A cell with one seed, and where and how it runs.

    purpose: "final", or "tuning" (held-out seeds, never in a table). lr_selection: how its learning rate was chosen,
    None where it was not. device: "cpu" or "cuda". A CPU run trains with one thread, so that executors and machines
    agree.
    """

    cell: Cell
    seed: int
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    purpose: str = FINAL
    lr_selection: LrSelection | None = None

    @property
    def setting(self) -> dict[str, Any]:
        """What a record keeps of a run beside its cell, as JSON."""
        selection = self.lr_selection and self.lr_selection.to_json()
        return {name: getattr(self, name) for name in RUN_FIELDS} | {"lr_selection": selection}

    @property
    def key(self) -> str:
        """The hash under which the store keeps the run's record.

        A tuned run hashes rates and seeds as numbers. It hashed a sentence before, so tuned runs of older stores are
        run anew; untuned ones keep their keys.
        """
        identity = self.cell.identity | self.setting
        return _hash(identity | {"selection": identity.pop("lr_selection") or UNTUNED})


RUN_FIELDS = ("seed", "device", "dtype", "threads", "purpose")


def _hash(identity: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def cell_from(task: str, architecture: str, scan: str, protocol: str) -> Cell:
    """Make a cell from four texts.

    Raises:
        UserError: one of them is not known, or a parameter is wrong; one line that names it.
    """
    return _cell(task, architecture, scan, protocol, tuple(registry.generation for registry in REGISTRIES.values()))


@functools.lru_cache(maxsize=4096)
def _cell(task: str, architecture: str, scan: str, protocol: str, generations: tuple[int, ...]) -> Cell:
    parsed = [tasks.parse(task), architectures.parse(architecture), protocols.parse(protocol)]
    task, architecture, protocol = (format_spec(entry.canonical(values)) for entry, values in parsed)
    scan, version, _ = scan_from(scan)
    versions = (parsed[0][0].version, parsed[1][0].version, version, parsed[2][0].version)
    return Cell(task=task, architecture=architecture, scan=scan, protocol=protocol, versions=versions)


def cells_from(
    tasks: Sequence[str], architectures: Sequence[str], scans: Sequence[str], protocols: Sequence[str]
) -> list[Cell]:
    """Every combination, each once, in the order given."""
    product = itertools.product(tasks, architectures, scans, protocols)
    return list(dict.fromkeys(cell_from(*texts) for texts in product))


def _kept(count: int, registry: Registry) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Keep the last `count` results of a function of a spec's text in this process.

    An entry that is registered anew, in a notebook say, raises its registry's generation: nothing of the old one is
    used.
    """

    def decorate(make: Callable[[str], T]) -> Callable[[str], T]:
        cached = functools.lru_cache(maxsize=count)(lambda text, generation: make(text))
        return functools.wraps(make)(lambda text: cached(text, registry.generation))

    return decorate


_task = _kept(64, tasks)(tasks.parse)
_architecture = _kept(256, architectures)(architectures.parse)
_scan = _kept(64, scans)(lambda text: scan_from(text)[2])


@_kept(64, protocols)
def _protocol(text: str) -> Protocol:
    entry, values = protocols.parse(text)
    return entry.create_light(values)


def parse_task(text: str) -> Task:
    """The task of a spec text, made anew: a file that it reads may have changed since."""
    entry, values = _task(text)
    return entry.create_light(values)


def task_of(cell: Cell) -> Task:
    """The cell's task."""
    return parse_task(cell.task)


def scan_of(cell: Cell) -> Scan:
    """The cell's scan."""
    return _scan(cell.scan)


def protocol_of(cell: Cell) -> Protocol:
    """The cell's protocol."""
    return _protocol(cell.protocol)


def architecture_of(cell: Cell) -> tuple[Entry, dict[str, Value]]:
    """The entry of the cell's architecture and its parameters, which are not to be changed in place."""
    return _architecture(cell.architecture)


def display_spec(axis: str, text: str) -> str:
    """A canonical spec without the parameters that stand at their defaults, for tables.

    >>> display_spec("scan", "window:size=4.reversed")  # doctest: +SKIP
    'window.reversed'
    """
    shortened = []
    try:
        for spec in parse_scan(text) if axis == "scan" else [parse_spec(text, axis=axis)]:
            entry = REGISTRIES[axis].get(spec.name)
            defaults = entry.canonical(entry.resolve({})).parameters
            different = {key: value for key, value in spec.parameters.items() if defaults.get(key) != value}
            shortened.append(format_spec(replace(spec, parameters=different), scan=axis == "scan"))
    except UserError:  # a plug-in's entry that is not loaded here, or one that has changed since
        return text
    return "+".join(shortened)
