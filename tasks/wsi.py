"""Whole-slide images: feature bags on disk, cross-validated by patient."""

from __future__ import annotations

import copy
import functools
from typing import Annotated, Any

import numpy as np

from harness.contracts import Batch, Order, Samples, Split, Task
from harness.contracts.errors import UserError
from harness.contracts.routes import order_of_cells
from harness.contracts.seeds import generator, seed_of
from harness.registry import Range, tasks
from harness.registry.routing import scan_from

from ._finite import largest_share, stratified_order
from .slides.bags import Bag
from .slides.collection import BagReader, open_collection
from .slides.labels import patient_folds
from .slides.padding import padded_batch

SUBJECT = "task wsi"
RANDOM = "random"


@tasks.register("wsi", version=1)
class WholeSlides(Task):
    """Whole-slide images from feature bags as CLAM and TRIDENT write them: tell the class of a slide.

    root: the folder with the bags, an HDF5 file a slide, or one above it (CLAM's with h5_files, TRIDENT's with one
    features_... below). labels: a CSV file, a path or a name within root:

        slide_id,patient_id,label          (or case_id; a line a slide, named as its bag)
        s0001,p0001,tumour

    Tiles are put on the grid on which their coordinates lie (the step is inferred slide by slide), holes stay holes,
    and a scan orders each slide by the order of its bounding grid restricted to its tiles. The order in the file is
    never used. Tiles in one cell or off the lattice go to the nearest free cell and are counted; records keep the
    counts, the bags that were left out, and the slides of each split.

    Cross-validated by patient: the run with seed s tests on fold s % folds of a partition of the patients into `folds`,
    stratified by class, that depends on s // folds; an eighth of the other patients validates. All slides of a patient
    are in one split. `test_train_ratio` = slides tested on over slides trained on: intervals and tests are corrected
    for it.

    Features are as they are on disk, read when they are needed; 256 MiB are kept. Batches hold tokens float32
    [batch, most tiles, width], zeros behind shorter slides, with `mask` and `coords`. With protocol standard take
    readout=attention (readout=mean pools evenly), a small batch_size, and `identity` as architecture for ABMIL.

    Args:
        root: the folder. labels: the table.
        folds: of the patients.
        limit: tiles of a slide at most, 0 for all. keep: which ones, the same in every run: random ones, or a stretch
            of this scan (keep=hilbert) from a random place. Never the first ones of a file.
        skip_bad: leave bad bags out and record them (their features are then read once beforehand); otherwise the
            first one stops everything.

    Raises:
        UserError: a bad bag, a mistake in the table, too few patients.

    Source: CLAM (Lu et al., 2021), github.com/mahmoodlab/CLAM; TRIDENT, github.com/mahmoodlab/TRIDENT.
    """

    irregular = True

    def __init__(
        self,
        *,
        root: str = "",
        labels: str = "labels.csv",
        folds: Annotated[int, Range(2, 100)] = 5,
        limit: Annotated[int, Range(0, 10_000_000)] = 0,
        keep: str = RANDOM,
        skip_bad: bool = False,
    ):
        self.collection = open_collection(root, labels, skip_bad=skip_bad, subject=SUBJECT)
        self.reader = BagReader()
        self.folds, self.limit, self.order = folds, limit, _order(keep)
        self.lengths = np.minimum(self.collection.tiles, limit) if limit else self.collection.tiles
        self.features = self.collection.bags[0].width
        self.classes = len(self.collection.labels.classes)
        self.grid = (1, int(np.median(self.lengths)))
        self.chance = largest_share(self.collection.labels.labels)
        self._divide(0)

    def _divide(self, seed: int) -> None:
        self.parts = patient_folds(self.collection.labels, seed, self.folds, subject=SUBJECT)
        self.test_train_ratio = len(self.parts["test"]) / len(self.parts["train"])

    @property
    def longest(self) -> int:
        return int(self.lengths.max())

    def for_run(self, seed: int) -> WholeSlides:
        fold = copy.copy(self)
        fold._divide(seed)
        return fold

    def sample(self, split: Split, count: int, seed: int) -> BagSamples:
        members = self.parts[split]
        draw = generator(seed if split == "train" else seed_of(part="a fixed subset", split=split))
        return BagSamples(self, members[stratified_order(self.collection.labels.labels[members], draw)[:count]])

    def slide(self, bag: Bag) -> tuple[np.ndarray, np.ndarray]:
        """Features [tiles, width] and cells [tiles, 2] of one slide, of `limit` tiles at most."""
        choose = functools.partial(_kept, bag.slide, self.limit, self.order) if self.limit else None
        return self.reader.read(bag, choose)

    def facts(self) -> dict[str, Any]:
        names = self.collection.labels.slides
        return {
            **self.collection.facts,
            "classes": list(self.collection.labels.classes),
            "truncated": int((self.collection.tiles > self.lengths).sum()),
            "split": {split: [names[index] for index in part] for split, part in self.parts.items()},
        }


def _order(keep: str) -> Order | None:
    """The order of which stretches are kept; None for random tiles."""
    if keep == RANDOM:
        return None
    order, *more = scan_from(keep)[2].orders
    if more:
        raise UserError(
            f"{SUBJECT}: keep must be random or a scan of one route, got {keep!r}, of {1 + len(more)} routes"
        )
    return order


def _kept(slide: str, limit: int, order: Order | None, cells: np.ndarray) -> np.ndarray:
    """Which `limit` tiles of a slide are kept, of cells [tiles, 2]; the slide's name decides, not the run."""
    if len(cells) <= limit:
        return np.arange(len(cells))
    draw = generator(seed_of(part="tiles kept", slide=slide))
    if order is None:
        return np.sort(draw.permutation(len(cells))[:limit])
    start = int(draw.integers(0, len(cells) - limit + 1))
    return np.sort(order_of_cells(order, cells)[start : start + limit])


class BagSamples(Samples):
    """Slides of a collection. chosen: their numbers in it."""

    def __init__(self, task: WholeSlides, chosen: np.ndarray):
        self.task, self.chosen = task, chosen
        self.target = task.collection.labels.labels[chosen]
        self.lengths = task.lengths[chosen]

    def batch(self, indices: np.ndarray) -> Batch:
        bags = [self.task.collection.bags[number] for number in self.chosen[indices]]
        return padded_batch([self.task.slide(bag) for bag in bags], self.target[indices])
