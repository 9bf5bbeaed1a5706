"""Whole-slide images: feature bags on disk, cross-validated by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.errors import UserError
from harness.registry import Range, tasks
from harness.routing import order_of_cells, scan_from
from harness.seeds import generator, seed_of

from ._finite import largest_share, stratified_order
from .slides.bags import Bag, Choose
from .slides.collection import BagReader, Collection, open_collection
from .slides.labels import patient_folds
from .slides.padding import padded_batch

SUBJECT = "task wsi"
RANDOM = "random"


@tasks.register("wsi", version=1)
def wsi(
    *,
    root: str = "",
    labels: str = "labels.csv",
    folds: Annotated[int, Range(2, 100)] = 5,
    limit: Annotated[int, Range(0, 10_000_000)] = 0,
    keep: str = RANDOM,
    skip_bad: bool = False,
) -> WholeSlides:
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
    are in one split. `resampled` = slides tested on over slides trained on: intervals and tests are corrected for it.

    Features are as they are on disk, read when they are needed; 256 MiB are kept. Batches hold tokens float32
    [batch, most tiles, width], zeros behind shorter slides, with `mask` and `places`. With protocol standard take
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
    collection = open_collection(root, labels, skip_bad=skip_bad, subject=SUBJECT)
    return WholeSlides(collection, BagReader(), folds=folds, limit=limit, choose=_choice(limit, keep))


def _choice(limit: int, keep: str) -> _Choice | None:
    """What a slide with more than `limit` tiles is cut by, or None where none is."""
    if keep == RANDOM:
        return _Choice(limit, None) if limit else None
    order, *more = scan_from(keep)[2].orders
    if more:
        raise UserError(
            f"{SUBJECT}: keep must be random or a scan of one route, got {keep!r}, of {1 + len(more)} routes"
        )
    return _Choice(limit, order) if limit else None


class _Choice:
    """Tiles of a slide that are kept: random ones, or a stretch of an order."""

    def __init__(self, limit: int, order: Any):
        self.limit, self.order = limit, order

    def of(self, slide: str) -> Choose:
        """As `bags.read` wants it; the slide's name decides, not the run."""

        def choose(cells: np.ndarray) -> np.ndarray:
            if len(cells) <= self.limit:
                return np.arange(len(cells))
            draw = generator(seed_of(part="tiles kept", slide=slide))
            if self.order is None:
                return np.sort(draw.permutation(len(cells))[: self.limit])
            start = int(draw.integers(0, len(cells) - self.limit + 1))
            return np.sort(order_of_cells(self.order, cells)[start : start + self.limit])

        return choose


class WholeSlides(Task):
    """See `wsi`; as made, it is that of seed 0."""

    irregular = True

    def __init__(
        self,
        collection: Collection,
        reader: BagReader,
        *,
        folds: int,
        limit: int,
        choose: _Choice | None,
        seed: int = 0,
    ):
        self.collection, self.reader = collection, reader
        self.folds, self.limit, self.choose = folds, limit, choose
        self.parts = patient_folds(collection.labels, seed, folds, subject=SUBJECT)
        self.lengths = np.minimum(collection.tiles, limit) if limit else collection.tiles
        self.features = collection.bags[0].width
        self.classes = len(collection.labels.classes)
        self.grid = (1, int(np.median(self.lengths)))
        self.chance = largest_share(collection.labels.labels)
        self.resampled = len(self.parts["test"]) / len(self.parts["train"])

    @property
    def longest(self) -> int:
        return int(self.lengths.max())

    def for_run(self, seed: int) -> WholeSlides:
        return WholeSlides(
            self.collection, self.reader, folds=self.folds, limit=self.limit, choose=self.choose, seed=seed
        )

    def sample(self, split: Split, count: int, seed: int) -> BagSamples:
        members = self.parts[split]
        draw = generator(seed if split == "train" else seed_of(part="a fixed subset", split=split))
        return BagSamples(self, members[stratified_order(self.collection.labels.labels[members], draw)[:count]])

    def facts(self) -> dict[str, Any]:
        names = self.collection.labels.slides
        return {
            **self.collection.facts,
            "classes": list(self.collection.labels.classes),
            "truncated": int((self.collection.tiles > self.lengths).sum()),
            "split": {split: [names[index] for index in part] for split, part in self.parts.items()},
        }


class BagSamples(Samples):
    """Slides of a collection. chosen: their numbers in it."""

    def __init__(self, task: WholeSlides, chosen: np.ndarray):
        self.task, self.chosen = task, chosen
        self.target = task.collection.labels.labels[chosen]
        self.lengths = task.lengths[chosen]

    def batch(self, indices: np.ndarray) -> Batch:
        bags: Sequence[Bag] = [self.task.collection.bags[number] for number in self.chosen[indices]]
        choose = self.task.choose
        slides = [self.task.reader.read(bag, None if choose is None else choose.of(bag.slide)) for bag in bags]
        return padded_batch(slides, self.target[indices])
