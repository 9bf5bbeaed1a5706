"""The settings of the paper's protocol."""

from dataclasses import dataclass
from typing import Annotated, Literal

from harness.contracts.protocol import Protocol
from harness.registry import Range


@dataclass(frozen=True, kw_only=True)
class PaperRecipe(Protocol):
    """What the descent follows. `harness.training.protocols.paper.Paper` says what each field means."""

    hidden: Annotated[int, Range(2, 65536)] = 50
    depth: Annotated[int, Range(1, 64)] = 1
    signs: Literal["balanced", "random"] = "balanced"
    init_scale: Annotated[float, Range(0.0, 10.0)] = 0.01
    samples: Annotated[int, Range(1, 10_000_000)] = 400
    population: bool = False
    steps: Annotated[int, Range(1, 100_000_000)] = 2000
    learning_rate: Annotated[float, Range(1e-9, 1e6)] = 1.0
    mixer_rate: Annotated[float, Range(0.0, 1e6)] = 1.0
    schedule: Literal["constant", "loss"] = "constant"
    mixer_step: Annotated[float, Range(0.0, 1e6)] = 0.0
    validation_samples: Annotated[int, Range(2, 1_000_000)] = 500
    test_samples: Annotated[int, Range(2, 1_000_000)] = 2000
    evaluate_every: Annotated[int, Range(1, 1_000_000)] = 10
    loss_threshold: Annotated[float, Range(0.0, 1.0)] = 1e-3
    accuracy_threshold: Annotated[float, Range(0.0, 1.0)] = 0.99
    stop: bool = True

    @property
    def shape(self) -> str:
        """The part that decides the parameters' shapes and scale, and so the initialization."""
        return f"paper:hidden={self.hidden},depth={self.depth},signs={self.signs},init_scale={self.init_scale:g}"
