"""Taking samples of times: what every timing session shares."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.utils import benchmark

SAMPLE_SECONDS = 0.02
"""Each phase is repeated for about this long in every round."""


@dataclass
class Phases:
    """Functions to be timed, and the samples (seconds a call) collected so far.

    A session calls `sample` of everything it compares in turn, round after round: what slows the machine for a while
    then hits all of them. The caller sets torch's threads.
    """

    phases: dict[str, Callable[[], Any]]
    number: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def sample(self) -> None:
        """Take one sample of every phase; the first time warms up and finds how often a sample repeats."""
        for phase, run in self.phases.items():
            if phase not in self.number:
                seconds_of(run, 1)
                self.number[phase] = max(1, round(SAMPLE_SECONDS / seconds_of(run, 1)))
                self.seconds[phase] = []
                continue
            if self.number[phase] > 1:
                run()  # the others have been through the caches since; a long call does not notice
            self.seconds[phase].append(seconds_of(run, self.number[phase]))

    @property
    def medians(self) -> dict[str, float]:
        """Median seconds a call of every phase."""
        return {phase: statistics.median(samples) for phase, samples in self.seconds.items()}


def seconds_of(run: Callable[[], Any], number: int = 1) -> float:
    """Mean seconds a call over `number` calls, by torch's clock, which waits for a GPU; no garbage is collected."""
    return timeit.Timer(run, timer=benchmark.timer).timeit(number) / number


def spread(samples: Sequence[float]) -> float:
    """Interquartile range over median."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / middle
