"""The data of a run: separate draws for train, validation and test, and the order of the batches.

Everything here depends on (task spec, seed, split) only, never on the architecture, the scan or the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.seeds import generator, seed_of
from harness.model.routed import TokenCoordinates

RENDERED_BYTES = 256 * 2**20
"""A split whose tokens take no more than this is rendered once and kept."""

PART_CELLS = 2**15
"""Irregular sequences go through the model together up to this many cells, padding counted; a longer one goes alone."""

Rendered: TypeAlias = tuple[Tensor, Tensor, Tensor | TokenCoordinates | None]
"""(tokens, target, mask) on a device; in the mask's place, where the cells of irregular sequences lie."""


class Data:
    """The three splits of a task for one seed, on one device.

    Args:
        task: the task; the run sees what its `for_run` makes of it. spec: its canonical text. seed: the run's seed.
        device: where batches are put.
    """

    def __init__(self, task: Task, *, spec: str, seed: int, device: str = "cpu"):
        self.task = task.for_run(seed)
        self.spec = spec
        self.seed = seed
        self.device = device

    def samples(self, split: Split, count: int) -> Samples:
        return self.task.sample(split, count, seed_of(kind="data", task=self.spec, split=split, seed=self.seed))

    def train_parts(self, *, count: int, batch_size: int, steps: int) -> Iterator[Iterator[Rendered]]:
        """`steps` batches of (tokens, target, mask) from at most `count` samples, in a new order each pass; each batch
        in the parts that go through the model together: one, unless the task is irregular.
        """
        samples = self.samples("train", count)
        if samples.streamed and batch_size * steps <= len(samples):
            for step in range(steps):
                yield self.parts(samples, np.arange(step * batch_size, (step + 1) * batch_size))
            return
        for indices in self._passes(len(samples), batch_size, steps):
            yield self.parts(samples, indices)

    def _passes(self, count: int, batch_size: int, steps: int) -> Iterator[np.ndarray]:
        shuffle = generator(seed_of(kind="batches", task=self.spec, seed=self.seed))
        order = np.empty(0, dtype=np.int64)
        for _ in range(steps):
            while len(order) < batch_size:
                order = np.concatenate([order, shuffle.permutation(count)])
            yield order[:batch_size]
            order = order[batch_size:]

    def parts(self, samples: Samples, indices: np.ndarray) -> Iterator[Rendered]:
        """The samples at `indices` at once; or irregular ones by length, in parts of `PART_CELLS`, one after the other.

        A part is rendered when it is asked for, so that no more than one is in memory.
        """
        if samples.lengths is None:
            yield self.render(samples, indices)
            return
        rest = indices[np.argsort(samples.lengths[indices], kind="stable")]
        while len(rest):
            padded = samples.lengths[rest] * np.arange(1, len(rest) + 1)
            together = max(1, int(np.searchsorted(padded, PART_CELLS, side="right")))
            yield self.render(samples, rest[:together])
            rest = rest[together:]

    def evaluation(self, split: Split, count: int, *, batch_size: int = 256) -> Evaluation:
        """A split that is passed over in its own order, again and again."""
        return Evaluation(self, self.samples(split, count), batch_size)

    def render(self, samples: Samples, indices: np.ndarray) -> Rendered:
        """(tokens, target, mask) of the samples at `indices`, on the device."""
        return self.move(samples.batch(indices))

    def move(self, batch: Batch) -> Rendered:
        """A batch's (tokens, target, mask) on the device."""
        mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(self.device)
        if batch.coords is not None:
            mask = TokenCoordinates(torch.from_numpy(batch.coords).to(self.device), mask)
        return torch.from_numpy(batch.tokens).to(self.device), torch.from_numpy(batch.target).to(self.device), mask


class Evaluation:
    """Batches of one split, rendered once where they fit in memory."""

    def __init__(self, data: Data, samples: Samples, batch_size: int):
        self._data = data
        self._samples = samples
        self.count = len(samples)
        self._batch_size = batch_size
        self._kept: list[Rendered] | None = None
        task = data.task
        cells = len(samples) * task.cells if samples.lengths is None else int(samples.lengths.sum())
        self._keep = 4 * cells * task.features <= RENDERED_BYTES

    def __iter__(self) -> Iterator[Rendered]:
        if self._kept is None and self._keep:
            self._kept = list(self._render())
        return iter(self._kept) if self._kept is not None else self._render()

    def _render(self) -> Iterator[Rendered]:
        count = len(self._samples)
        for start in range(0, count, self._batch_size):
            yield from self._data.parts(self._samples, np.arange(start, min(start + self._batch_size, count)))
