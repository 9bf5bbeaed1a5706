"""What a protocol owes the harness: how the model of a cell is built, trained and read out, and what that takes.

The smallest one is a frozen dataclass with `build` and `train`. What most people want is smaller still: the standard
protocol with another optimizer, loss or schedule, a subclass of `harness.training.protocols.standard.Standard` with its
own `make_optimizer`, `loss` or `lr_multiplier`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from .errors import Diverged, Unsupported
from .task import Task

Cell: TypeAlias = Any
"""A `harness.registry.cells.Cell`: `task`, `architecture`, `scan` and `protocol` are canonical texts."""

Run: TypeAlias = Any
"""A `harness.registry.cells.Run`: a `cell`, its `seed`, and the `device` ("cpu" or "cuda") that it runs on."""

Outcome: TypeAlias = dict[str, Any]
"""What a record holds of training and evaluation. Tables read `test_accuracy`; tuning maximizes `validation_score`, or
`validation_accuracy` where there is none."""

Report: TypeAlias = Callable[[int, int, float, float | None], None]
"""Told (step, steps, training loss, last validation accuracy) after every optimizer step."""

ESTIMATED_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class TimedStep:
    """A cell made ready to be timed.

    model: a torch module that mixes through `harness.model.routed.RoutedMixer`. batch: (tokens, target, mask) on the
    device. step: one training step of the model on that batch.
    """

    model: Any
    batch: tuple[Any, Any, Any]
    step: Callable[[], Any]


class Protocol(ABC):
    """How a cell is built, trained and read out; every architecture gets exactly this.

    Subclasses are registered frozen dataclasses, whose fields are the parameters of a spec. torch is imported within
    methods: making a protocol is light. Each method is called under the run's number format and threads.

    learning_rate: of training, a parameter of the same name. tuning_factors: multiples of it that tuning tries. timed:
    whether its cells take part in timing sessions.
    """

    learning_rate: float
    tuning_factors: ClassVar[tuple[float, ...]] = (1 / 3, 1.0, 10 / 3)
    timed: ClassVar[bool] = False

    @abstractmethod
    def build(self, cell: Cell, task: Task, *, seed: int) -> Any:
        """The model (torch.nn.Module) of a cell, initialized for a seed, on the CPU.

        Initialization must not depend on the scan or the learning rate, so that cells are paired seed by seed.

        Raises:
            Unsupported: a scan that does not fit the grid, an architecture that cannot run here.
            UserError: parameters that do not go together.
        """

    @abstractmethod
    def train(self, run: Run, task: Task, report: Report) -> Outcome:
        """Train a run's model and score it; what its record holds of that.

        Raises:
            Diverged: the loss has left the numbers.
            Unsupported: the task is none for this protocol.
        """

    def check(self, cell: Cell, task: Task) -> None:
        """Raise what the user got wrong (UserError), before anything long starts."""
        self.build(cell, task, seed=0)

    def train_together(
        self, runs: Sequence[Run], task: Task, reports: Sequence[Report], *, cuda_graphs: bool = False
    ) -> tuple[list[Outcome | Diverged], dict[str, Any]]:
        """Train runs that differ in their seed only; what each came to, and further columns of all their records.

        Whatever this raises, the runs are then trained one by one, and their records say why.
        """
        raise NotImplementedError(f"{type(self).__name__} trains one run at a time")

    def estimate(self, run: Run, task: Task) -> float:
        """Seconds that a run takes: a few steps, the rest by proportion; without a field `steps`, a whole run."""
        steps = getattr(self, "steps", None)
        if steps is None:
            return self._seconds(run, task)
        fields: Any = self
        first, longer = (
            dataclasses.replace(fields, steps=number)._seconds(run, task) for number in (1, 1 + ESTIMATED_STEPS)
        )
        return first + max(0.0, longer - first) / ESTIMATED_STEPS * steps

    def _seconds(self, run: Run, task: Task) -> float:
        started = time.perf_counter()
        with contextlib.suppress(Diverged):
            self.train(run, task, lambda *_: None)
        return time.perf_counter() - started

    def timed_step(self, run: Run, task: Task) -> TimedStep:
        """What a timing session measures, for protocols that are `timed`.

        Raises:
            Unsupported: it is not.
        """
        raise Unsupported(f"{type(self).__name__} takes no part in timing sessions", "give it a timed_step")
