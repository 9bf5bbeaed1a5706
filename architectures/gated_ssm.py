"""The simplified gated state space model, and its ablation without the gate."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures

from ._short_conv import with_short_conv


@architectures.register("gated-ssm", version=1)
@with_short_conv
def gated_ssm(
    width: int,
    generator: Generator,
    projection: Literal["identity", "shared", "gaussian"] = "identity",
    train_projections: bool = True,
    normalized: bool = False,
) -> Mixer:
    """Simplified gated state space model, the block that the theory of Mamba's training is about.

    Source: Shandirasegaran et al., ICLR 2026, arXiv 2602.12499, Eqs. 2-5:
    y_t = sum_{s<=t} prod_{s<j<=t} (1 - sigmoid(w_D.x_j)) sigmoid(w_D.x_s) (W_B^T x_s).(W_C^T x_t) x_s.
    w_D is trained and zero at the start, so every gate starts at one half. The choices below are ours.

    projection: W_B and W_C are the identity, one Gaussian matrix for both (shared), or one each (gaussian); entries
        have variance 1 / width.
    train_projections: train W_B and W_C too; false is the setting of the paper's analysis, in which they stay put.
        With the identity kept, tokens of the standard backbone speak to each other only through the embedding, and
        one block hardly learns locality2d in the default budget.
    normalized: divide the scores by the width, so that a token of the standard backbone, of norm sqrt(width), meets
        itself with score 1 as the paper's unit tokens do; false is the bare formula.
    """
    from .layers.gated_ssm import GatedSSM

    return GatedSSM(width, generator, projection, train_projections, normalized)


@architectures.register("ungated-ssm", version=1)
@with_short_conv
def ungated_ssm(
    width: int,
    generator: Generator,
    gate: Annotated[float, Range(0.001, 0.999)] = 0.5,
    projection: Literal["identity", "shared", "gaussian"] = "identity",
    train_projections: bool = True,
    normalized: bool = False,
) -> Mixer:
    """Simplified state space model without its gate: gated-ssm with Delta fixed.

    Source: arXiv 2602.12499, the ablation of Eqs. 2-5 in which Delta does not depend on the token.

    gate: sigmoid(u) at every step; 0.5 is where gated-ssm starts.
    projection, train_projections, normalized: as for gated-ssm. With train_projections=false it has no parameters.
    """
    from .layers.gated_ssm import UngatedSSM

    return UngatedSSM(width, generator, gate, projection, train_projections, normalized)
