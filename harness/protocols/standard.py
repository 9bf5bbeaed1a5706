"""The standard protocol: embed, depth x [norm, mixer, residual, norm, MLP, residual], readout; cross-entropy; AdamW."""

from dataclasses import dataclass
from typing import Annotated, Literal

from harness.registry import Range, protocols


@dataclass(frozen=True, kw_only=True)
class Standard:
    """How a cell is framed, trained and read out; every architecture gets exactly this. See `standard`."""

    depth: int
    width: int
    expansion: int
    readout: str
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    schedule: str
    clip: float
    train_samples: int
    validation_samples: int
    test_samples: int
    evaluate_every: int
    threshold: float
    transfer: tuple[str, ...]
    match: str

    timed = True
    tuning_factors = (1 / 3, 1.0, 10 / 3)

    @property
    def shape(self) -> str:
        """The part that decides the parameters' shapes, and so the initialization; the rest must not change it."""
        matched = "" if self.match == "width" else f",match={self.match}"
        return f"standard:depth={self.depth},width={self.width},expansion={self.expansion}{matched}"

    @property
    def train_count(self) -> int:
        return self.train_samples or self.steps * self.batch_size

    def threshold_accuracy(self, chance: float) -> float:
        """The validation accuracy that counts as "has learned"."""
        return chance + self.threshold * (1 - chance)


@protocols.register("standard", version=1)
def standard(
    *,
    depth: Annotated[int, Range(1, 64)] = 1,
    width: Annotated[int, Range(2, 4096)] = 32,
    expansion: Annotated[int, Range(1, 16)] = 2,
    readout: Literal["mean", "last", "attention"] = "mean",
    steps: Annotated[int, Range(1, 10_000_000)] = 500,
    batch_size: Annotated[int, Range(1, 65536)] = 64,
    learning_rate: Annotated[float, Range(1e-7, 10.0)] = 0.003,
    weight_decay: Annotated[float, Range(0.0, 10.0)] = 0.01,
    schedule: Literal["constant", "cosine"] = "constant",
    clip: Annotated[float, Range(1e-3, 1e6)] = 1.0,
    train_samples: Annotated[int, Range(0, 100_000_000)] = 0,
    validation_samples: Annotated[int, Range(2, 1_000_000)] = 512,
    test_samples: Annotated[int, Range(2, 1_000_000)] = 2048,
    evaluate_every: Annotated[int, Range(1, 1_000_000)] = 25,
    threshold: Annotated[float, Range(0.01, 1.0)] = 0.5,
    transfer: str = "none",
    match: Literal["width", "parameters", "state"] = "width",
) -> Standard:
    """Embed, depth x [norm, mixer, residual, norm, MLP, residual], readout; cross-entropy; AdamW.

    RMS norms without bias stand before mixer, MLP and readout; the MLP is `expansion` times as wide (GELU). Gradients
    are clipped at norm `clip`; the rate is constant, or cosine to zero, after a warm-up of a twentieth of the steps.
    train_samples=0 means that every batch is new (steps x batch_size samples, each seen once); otherwise so many are
    drawn once and passed over in a new order each time. Validation accuracy is taken every `evaluate_every` steps.
    `threshold` is the share of the way from chance to 1 that validation accuracy must reach to count as learned.
    readout=mean averages the cells; readout=attention weighs them by gated attention (Ilse et al., 2018), as
        multiple-instance learning does; readout=last takes each route's final step (the mean of them for several).
    A task that asks at cells (its card says so) needs no readout: every cell is classified, and loss and accuracy are
        means over the cells that are asked.
    transfer: scans, separated by spaces, by which the trained model also reads the first 512 test samples: what was
        learned along one order, tried along another. They need as many routes as the cell's own scan.
    match=width gives every architecture the same width; match=parameters the width, a multiple of 4, at which its model
        comes nearest to the parameters of `mamba` at `width` along one route; match=state likewise to the state that a
        layer carries from step to step, and what carries none is unsupported. The record has the width.
    """
    return Standard(
        depth=depth,
        width=width,
        expansion=expansion,
        readout=readout,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        clip=clip,
        train_samples=train_samples,
        validation_samples=validation_samples,
        test_samples=test_samples,
        evaluate_every=evaluate_every,
        threshold=threshold,
        transfer=() if transfer == "none" else tuple(transfer.split()),
        match=match,
    )
