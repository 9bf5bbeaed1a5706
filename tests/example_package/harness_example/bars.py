"""Is the bar horizontal or vertical?"""

from typing import Annotated

import numpy as np

from harness.contracts import Batch, Samples, Split, Task
from harness.contracts.seeds import generator, normal_noise, seed_of
from harness.registry import Range, tasks


class BarSamples(Samples):
    """patterns: 1 in the cells of the bar, 0 elsewhere; a token is its pattern and noise."""

    def __init__(self, target: np.ndarray, patterns: np.ndarray, noise: float, seed: int):
        self.target, self.patterns = target, patterns
        self.noise, self.seed = noise, seed

    def batch(self, indices: np.ndarray) -> Batch:
        # The noise of a sample depends on its index alone, so that it looks the same in any batch.
        noise = normal_noise(self.seed, indices, (self.patterns.shape[1],))
        tokens = self.patterns[indices].astype(np.float32) + np.float32(self.noise) * noise
        return Batch(tokens=tokens[..., None], target=self.target[indices])


@tasks.register("bars", version=1)
class Bars(Task):
    """A bright bar among noise: does it lie or stand?

    Both classes hold the same number of bright cells; only how they lie to each other tells.
    """

    features, classes, chance = 1, 2, 0.5

    def __init__(self, *, side: Annotated[int, Range(2, 64)] = 8, noise: Annotated[float, Range(0.0, 10.0)] = 0.3):
        self.grid = (side, side)
        self.noise = noise

    def sample(self, split: Split, count: int, seed: int) -> Samples:
        draw = generator(seed)
        target = np.resize([0, 1], count).astype(np.int64)
        line = draw.integers(self.grid[0], size=count)
        patterns = np.zeros((count, *self.grid), dtype=np.int64)
        rows, columns = np.flatnonzero(target == 0), np.flatnonzero(target == 1)
        patterns[rows, line[rows], :] = 1
        patterns[columns, :, line[columns]] = 1
        return BarSamples(target, patterns.reshape(count, -1), self.noise, seed_of(kind="noise", seed=seed))
