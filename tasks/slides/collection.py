"""All bags of a data set with their labels: found, checked once a process, and kept while there is room."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.contracts.errors import UserError

from .._files import Stamp, given_folder, stamp
from .bags import BadBag, Bag, Choose, inspect, read
from .labels import Labels, read_labels

FETCH = "give the folder of CLAM's or TRIDENT's features (make some with: python -m harness make-slides OUT)"

KEPT_BYTES = 256 * 2**20
"""Features kept in memory; what does not fit is read anew each time, so memory does not grow with the slides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """Labelled bags. bags[i] is that of labels.slides[i]. left_out: bad ones. unlabelled: bags without a label."""

    bags: tuple[Bag, ...]
    labels: Labels
    left_out: tuple[BadBag, ...]
    unlabelled: int

    @property
    def tiles(self) -> np.ndarray:
        """int64 [slides]."""
        return np.array([bag.tiles for bag in self.bags], dtype=np.int64)

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of the data: how many slides, and what was wrong with some."""
        return {
            "slides": len(self.bags),
            "tiles": int(self.tiles.sum()),
            "off_lattice_tiles": sum(bag.off_lattice for bag in self.bags),
            "collisions": sum(bag.collisions for bag in self.bags),
            "unlabelled": self.unlabelled,
            "left_out": [{"file": error.path.name, "key": error.key, "found": error.found} for error in self.left_out],
        }


def bag_folder(root: str, *, subject: str) -> Path:
    """The folder that holds the bags: `root`, its h5_files (CLAM), or the only features_... below it (TRIDENT).

    Raises:
        UserError: no bags, or several such folders.
    """
    folder = given_folder(root, subject=subject, fetch=FETCH)
    for candidate in (folder, folder / "h5_files"):
        if any(candidate.glob("*.h5")):
            return candidate
    found = [each for each in sorted(folder.rglob("features_*")) if each.is_dir() and any(each.glob("*.h5"))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.relative_to(folder).as_posix() for each in found)
        raise UserError(f"{subject}: root must hold one folder of features, got {names} in {folder}; give one of them")
    raise UserError(f"{subject}: root must hold bags (.h5, in h5_files or features_...), got {folder} without; {FETCH}")


def open_collection(root: str, labels: str, *, skip_bad: bool, subject: str) -> Collection:
    """Find and check the bags of all labelled slides. labels: a path, or a name within root.

    Raises:
        BadBag: the first bad one, unless `skip_bad`.
        UserError: as `bag_folder` and `read_labels`; no good bag of some class.
    """
    folder = bag_folder(root, subject=subject)
    path = Path(labels).expanduser()
    path = path if path.is_file() else Path(root).expanduser() / labels
    return _open(folder, folder.stat().st_mtime_ns, path, stamp(path) if path.is_file() else None, skip_bad, subject)


@functools.lru_cache(maxsize=4)
def _open(folder: Path, _: int, path: Path, __: Stamp | None, skip_bad: bool, subject: str) -> Collection:
    labels = read_labels(path, subject=subject)
    bags, left_out = inspect_all([folder / f"{slide}.h5" for slide in labels.slides], thorough=skip_bad)
    if left_out and not skip_bad:
        raise UserError(f"{subject}: {left_out[0]}; mend it, or leave bad bags out (--skip-bad)")
    kept = [index for index, slide in enumerate(labels.slides) if slide in bags]
    remaining = labels.only(np.array(kept, dtype=np.int64))
    for name, count in zip(labels.classes, np.bincount(remaining.labels, minlength=len(labels.classes)), strict=True):
        if not count:
            raise UserError(f"{subject}: {path} must have bags of every class, got none of {name!r} in {folder}")
    return Collection(
        bags=tuple(bags[slide] for slide in remaining.slides),
        labels=remaining,
        left_out=tuple(left_out),
        unlabelled=sum(bag.stem not in set(labels.slides) for bag in folder.glob("*.h5")),
    )


def inspect_all(paths: Sequence[Path], *, thorough: bool) -> tuple[dict[str, Bag], list[BadBag]]:
    """The good bags by slide, and what is wrong with the others; features must be as wide as those of most."""
    bags: dict[str, Bag] = {}
    bad: list[BadBag] = []
    for path in paths:
        try:
            bag = inspect(path, thorough=thorough)
            bags[bag.slide] = bag
        except BadBag as error:
            bad.append(error)
    widths = np.array([bag.width for bag in bags.values()], dtype=np.int64)
    usual = int(np.bincount(widths).argmax()) if len(widths) else 0
    for bag in [bag for bag in bags.values() if bag.width != usual]:
        bad.append(BadBag(bag.path, "features", f"width {bag.width}, most bags have {usual}"))
        del bags[bag.slide]
    return bags, bad


class BagReader:
    """Reads bags and keeps those that came first, up to `kept_bytes` of features and cells."""

    def __init__(self) -> None:
        self.kept_bytes = KEPT_BYTES
        self._kept: dict[Path, tuple[np.ndarray, np.ndarray]] = {}
        self._bytes = 0

    def read(self, bag: Bag, choose: Choose | None = None) -> tuple[np.ndarray, np.ndarray]:
        """As `bags.read`; a bag must be asked for with the same `choose` every time."""
        if bag.path in self._kept:
            return self._kept[bag.path]
        found = read(bag, choose)
        size = sum(array.nbytes for array in found)
        # What came first stays: passes in random order gain nothing from forgetting the oldest.
        if self._bytes + size <= self.kept_bytes:
            self._kept[bag.path] = found
            self._bytes += size
        return found
