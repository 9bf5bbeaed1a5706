"""The settings of the standard protocol, and what can be exchanged in a subclass: optimizer, schedule, loss."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from harness.contracts.protocol import Protocol
from harness.registry import Range

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

# No `from __future__ import annotations` here: the registry reads the fields' annotations, in subclasses elsewhere too.


@dataclass(frozen=True, kw_only=True)
class StandardRecipe(Protocol):
    """What the training loop follows. `harness.training.protocols.standard.Standard` says what each field means."""

    depth: Annotated[int, Range(1, 64)] = 1
    width: Annotated[int, Range(2, 4096)] = 32
    expansion: Annotated[int, Range(1, 16)] = 2
    readout: Literal["mean", "last", "attention"] = "mean"
    steps: Annotated[int, Range(1, 10_000_000)] = 500
    batch_size: Annotated[int, Range(1, 65536)] = 64
    learning_rate: Annotated[float, Range(1e-7, 10.0)] = 0.003
    weight_decay: Annotated[float, Range(0.0, 10.0)] = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    clip: Annotated[float, Range(1e-3, 1e6)] = 1.0
    train_samples: Annotated[int, Range(0, 100_000_000)] = 0
    validation_samples: Annotated[int, Range(2, 1_000_000)] = 512
    test_samples: Annotated[int, Range(2, 1_000_000)] = 2048
    evaluate_every: Annotated[int, Range(1, 1_000_000)] = 25
    threshold: Annotated[float, Range(0.01, 1.0)] = 0.5
    transfer: str = "none"
    match: Literal["width", "parameters", "state"] = "width"

    elementwise_optimizer: ClassVar[bool] = False

    @property
    def shape(self) -> str:
        """The part that decides the parameters' shapes, and so the initialization; the rest must not change it."""
        matched = "" if self.match == "width" else f",match={self.match}"
        return f"standard:depth={self.depth},width={self.width},expansion={self.expansion}{matched}"

    @property
    def train_count(self) -> int:
        """Training samples that are drawn."""
        return self.train_samples or self.steps * self.batch_size

    @property
    def transfer_scans(self) -> tuple[str, ...]:
        """The scans, as texts, that the trained model is tried along."""
        return () if self.transfer == "none" else tuple(self.transfer.split())

    def threshold_accuracy(self, chance: float) -> float:
        """The validation accuracy that counts as "has learned"."""
        return chance + self.threshold * (1 - chance)

    def lr_multiplier(self, step: int) -> float:
        """The factor on the learning rate at a step, counted from 0: warm-up over a twentieth of the steps, then
        constant or cosine to zero.
        """
        warmup = max(1, self.steps // 20)
        if step < warmup:
            return (step + 1) / warmup
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, self.steps - warmup))))

    def loss(self, scores: "Tensor", target: "Tensor") -> "Tensor":
        """What a training step lowers: mean cross-entropy of scores [..., classes] to targets [...] over what is asked.

        Validation and test report cross-entropy whatever this is, so that protocols can be compared.
        """
        from .scores import cross_entropy

        return cross_entropy(scores, target)

    def make_optimizer(self, model: "nn.Module") -> "optim.Optimizer":
        """AdamW over `weight_decay_groups`; the loop multiplies each group's learning rate with `lr_multiplier`.

        Seeds that train together share one optimizer over stacked parameters [seeds, ...]. Another optimizer is used
        for that where the class says `elementwise_optimizer = True`: each number is updated from its own gradient, as
        in SGD and Lion; one that takes norms of a tensor (LAMB, Muon) would mix seeds.
        """
        from torch.optim import AdamW

        return AdamW(self.weight_decay_groups(model), lr=self.learning_rate)

    def weight_decay_groups(self, model: "nn.Module") -> "list[dict[str, object]]":
        """Parameter groups: matrices decay, vectors and biases do not, nor does what is marked `_no_weight_decay`."""
        decayed, kept = [], []
        for parameter in model.parameters():
            if parameter.requires_grad:
                keep = parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False)
                (kept if keep else decayed).append(parameter)
        groups = ((decayed, self.weight_decay), (kept, 0.0))
        return [{"params": params, "weight_decay": decay} for params, decay in groups if params]
