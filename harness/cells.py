"""Cells, runs and their keys: what is compared, in canonical text."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .ceilings import Ceilings, ceilings
from .contracts import Scan, Task
from .errors import Unsupported, UserError
from .protocols.paper import Paper
from .protocols.standard import Standard
from .registry import Registry, architectures, protocols, scans, tasks
from .routing import scan_from
from .specs import Spec, format_spec, parse_scan, parse_spec

RECORD_VERSION = 1
"""Rises when what a run does with the same specs changes (training loop, data layer, frame)."""

FINAL = "final"
TUNING = "tuning"
UNTUNED = "untuned"


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
        return {
            "task": self.task,
            "architecture": self.architecture,
            "scan": self.scan,
            "protocol": self.protocol,
            "versions": list(self.versions),
            "record_version": RECORD_VERSION,
        }

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
        return cell_from(
            self.task,
            self.architecture,
            self.scan,
            format_spec(Spec(name=spec.name, parameters={**spec.parameters, "learning_rate": repr(float(rate))})),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """A cell with one seed, and where and how it runs.

    purpose: "final", or "tuning" (seeds of its own, never in a table). selection: "untuned", or how its learning rate
    was chosen. device: "cpu" or "cuda". A CPU run trains with one thread, so that executors and machines agree.
    """

    cell: Cell
    seed: int
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    purpose: str = FINAL
    selection: str = UNTUNED

    @property
    def key(self) -> str:
        """The hash under which the store keeps the run's record."""
        identity = {**self.cell.identity, **{name: getattr(self, name) for name in _RUN_FIELDS}}
        return _hash(identity)


_RUN_FIELDS = ("seed", "device", "dtype", "threads", "purpose", "selection")


def _hash(identity: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def cell_from(task: str, architecture: str, scan: str, protocol: str) -> Cell:
    """Make a cell from four texts.

    Raises:
        UserError: one of them is not known, or a parameter is wrong; one line that names it.
    """
    canonical: list[str] = []
    versions: list[int] = []
    for registry, text in ((tasks, task), (architectures, architecture), (protocols, protocol)):
        entry, values = registry.parse(text)
        canonical.append(format_spec(entry.canonical(values)))
        versions.append(entry.version)
    scan_text, scan_version, _ = scan_from(scan)
    return Cell(
        task=canonical[0],
        architecture=canonical[1],
        scan=scan_text,
        protocol=canonical[2],
        versions=(versions[0], versions[1], scan_version, versions[2]),
    )


def cells_from(
    tasks: Sequence[str], architectures: Sequence[str], scans: Sequence[str], protocols: Sequence[str]
) -> list[Cell]:
    """Every combination, each once, in the order given."""
    product = itertools.product(tasks, architectures, scans, protocols)
    return list(dict.fromkeys(cell_from(*texts) for texts in product))


def parse_task(text: str) -> Task:
    """The task of a spec text."""
    entry, values = tasks.parse(text)
    return entry.create_light(values)


def task_of(cell: Cell) -> Task:
    """The cell's task."""
    return parse_task(cell.task)


@functools.lru_cache(maxsize=64)
def ceilings_of(task: str) -> Ceilings:
    """The ceilings of a canonical task text; estimated once a process."""
    return ceilings(parse_task(task))


def scan_of(cell: Cell) -> Scan:
    """The cell's scan."""
    return scan_from(cell.scan)[2]


def protocol_of(cell: Cell) -> Standard | Paper:
    """The cell's protocol."""
    entry, values = protocols.parse(cell.protocol)
    return entry.create_light(values)


def short(axis: str, text: str) -> str:
    """A canonical spec without the parameters that stand at their defaults, for tables.

    >>> short("scan", "window:size=4.reversed")  # doctest: +SKIP
    'window.reversed'
    """
    registry = {"task": tasks, "architecture": architectures, "scan": scans, "protocol": protocols}[axis]
    try:
        return _short(registry, axis, text)
    except UserError:  # a plug-in's entry that is not loaded here, or one that has changed since
        return text


def _short(registry: Registry, axis: str, text: str) -> str:
    specs = parse_scan(text) if axis == "scan" else [parse_spec(text, axis=axis)]
    shortened = []
    for spec in specs:
        entry = registry.get(spec.name)
        defaults = entry.canonical(entry.resolve({})).parameters
        different = {key: value for key, value in spec.parameters.items() if defaults.get(key) != value}
        shortened.append(format_spec(replace(spec, parameters=different), scan=axis == "scan"))
    return "+".join(shortened)
