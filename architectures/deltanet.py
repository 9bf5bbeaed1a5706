"""DeltaNet: a linear recurrence that replaces what it holds for a key, and forgets nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.contracts.light import Generator, Mixer
from harness.registry import Range, architectures


@architectures.register("deltanet", version=1)
def deltanet(
    width: int,
    generator: Generator,
    heads: Annotated[int, Range(1, 256)] = 4,
    conv: Annotated[int, Range(0, 64)] = 4,
    expand: Annotated[int, Range(1, 16)] = 1,
    eigenvalues: Literal["positive", "negative"] = "positive",
) -> Mixer:
    """Delta rule: a step replaces what the state holds for its key; nothing decays.

    Source: Yang et al., arXiv 2406.06484 (the rule: Schlag, Irie and Schmidhuber, arXiv 2102.11174), in the layer of
    the authors' code, flash-linear-attention's DeltaNet, with its defaults: queries, keys and values through short
    convolutions and SiLU, queries and keys of norm 1, beta a sigmoid, a root mean square norm a head, no output gate,
    no biases. Left out: their initialization (torch's own is used). For CUDA tensors in 16 bits it runs in that
    package's kernels where they are installed; elsewhere in chunks in torch (the WY form). No positions.

    heads: heads with a state each; must divide the width. conv: taps of the short convolutions; 0: none.
    expand: how many times as wide as the keys the values are.
    eigenvalues: negative doubles beta, so that what a step makes of its key has eigenvalues in [-1, 1] rather than
        [0, 1] (Grazzi et al., arXiv 2411.12537): at beta = 2 it turns the sign of what the key holds.
    """
    from .layers.gated_deltanet import DeltaNet

    return DeltaNet(width, generator, heads=heads, conv=conv, expand=expand, eigenvalues=eigenvalues)
