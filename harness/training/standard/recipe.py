"""The settings of the standard protocol, and what can be exchanged in a subclass: optimizer, schedule, loss."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from harness.contracts.errors import UserError
from harness.contracts.protocol import Protocol
from harness.registry import Added, Range

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
    mlp: Annotated[Literal["gelu", "swiglu", "none"], Added()] = "gelu"
    positions: Annotated[Literal["none", "learned"], Added()] = "none"
    tied_head: Annotated[bool, Added()] = False
    warmup: Annotated[int, Range(-1, 1_000_000), Added()] = -1
    epochs: Annotated[int, Range(0, 1_000_000), Added()] = 0
    stop_at: Annotated[float, Range(0.0, 1.0), Added()] = 0.0
    patience: Annotated[int, Range(0, 1_000_000), Added()] = 0
    ssm_learning_rate: Annotated[float, Range(0.0, 10.0), Added()] = 0.0
    test_length: Annotated[str, Added()] = "none"

    elementwise_optimizer: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.epochs:
            if not self.train_samples:
                raise UserError(
                    f"protocol epochs: they pass over a fixed training set, got epochs={self.epochs} and"
                    " train_samples=0, which draws every batch anew; give train_samples, or steps instead of epochs"
                )
            object.__setattr__(self, "steps", math.ceil(self.epochs * self.train_samples / self.batch_size))
        if not re.fullmatch(r"none|[1-9]\d{0,8}( +[1-9]\d{0,8})*", self.test_length):
            raise UserError(
                f"protocol test_length: lengths separated by spaces, or none, got {self.test_length!r}; for example"
                ' test_length="512 1024"'
            )

    @property
    def test_lengths(self) -> tuple[int, ...]:
        """Lengths of the further test sets, in the order given."""
        return () if self.test_length == "none" else tuple(map(int, dict.fromkeys(self.test_length.split())))

    @property
    def stops_early(self) -> bool:
        """Whether validation may end training before its last step."""
        return bool(self.stop_at or self.patience)

    def stops_after(self, accuracies: Sequence[float]) -> bool:
        """Whether training ends after these validation accuracies, the latest last."""
        if self.stop_at and accuracies[-1] >= self.stop_at:
            return True
        best = accuracies.index(max(accuracies))
        return bool(self.patience) and len(accuracies) - 1 - best >= self.patience

    @property
    def shape(self) -> str:
        """The part that decides the parameters' shapes, and so the initialization; the rest must not change it."""
        matched = "" if self.match == "width" else f",match={self.match}"
        more = "" if self.mlp == "gelu" else f",mlp={self.mlp}"
        more += "" if self.positions == "none" else f",positions={self.positions}"
        more += ",tied_head" * self.tied_head
        return f"standard:depth={self.depth},width={self.width},expansion={self.expansion}{matched}{more}"

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
        """The factor on the learning rate at a step, counted from 0: linear warm-up, then constant or cosine to 0."""
        warmup = max(1, self.steps // 20 if self.warmup < 0 else self.warmup)
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

        on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
        # On a CPU one loop over each tensor instead of ten operations.
        return AdamW(self.weight_decay_groups(model), lr=self.learning_rate, fused=on_cpu)

    def weight_decay_groups(self, model: "nn.Module") -> "list[dict[str, object]]":
        """Parameter groups: matrices decay, vectors and biases do not, nor does what is marked `_no_weight_decay`.

        With `ssm_learning_rate`, a mixer's state space parameters (`harness.contracts.mixer.state_space_parameters`)
        are a group of their own, at no more than that rate and without decay.
        """
        from harness.contracts.mixer import state_space_parameters

        apart = state_space_parameters(model) if self.ssm_learning_rate else set()
        decayed, kept, slow = [], [], []
        for parameter in model.parameters():
            if parameter.requires_grad:
                keep = parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False)
                (slow if parameter in apart else kept if keep else decayed).append(parameter)
        groups: list[dict[str, object]] = [
            {"params": params, "weight_decay": decay}
            for params, decay in ((decayed, self.weight_decay), (kept, 0.0))
            if params
        ]
        if slow:
            rate = min(self.learning_rate, self.ssm_learning_rate)
            groups.append({"params": slow, "weight_decay": 0.0, "lr": rate})
        return groups
