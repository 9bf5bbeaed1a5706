"""A training step captured once and replayed: a small model's step then costs one launch instead of hundreds.

The bookkeeping is tested with a stand-in for the capture; docs/gpu.md says what of it has run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DEVICE = "cuda"
"""Where alone this runs: what changes here makes no CPU record stale."""

Step = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Recorder = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]
"""Records what a function would do, without doing it; returns what does it, and where its result then stands."""

WARMUP_STEPS = 3
"""Steps run as they are before the capture, as torch asks: they make the optimizer's state and choose algorithms."""


def record(function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """A function's CUDA work as a graph."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = function()
    return graph.replay, output


def aside(function: Callable[[], Tensor]) -> Tensor:
    """The function's result, computed on a stream of its own, as torch asks for what comes before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        output = function()
    torch.cuda.current_stream().wait_stream(stream)
    return output


class GraphedStep:
    """Calls a training step, from the fourth time on by replaying its capture.

    Batches must keep their shapes, and the step must not decide anything by a tensor's value. Where the capture fails
    the step runs as it is, and `reason` says why.

    Args:
        step: (tokens, target, mask) -> losses. recorder: captures; stands open for tests.
    """

    def __init__(self, step: Step, recorder: Recorder = record):
        self.step = step
        self.recorder = recorder
        self.reason: str | None = None
        self._calls = 0
        self._replay: Callable[[], None] | None = None
        self._inputs: list[Tensor | None] = []

    @property
    def replayed(self) -> bool:
        """Whether a capture serves."""
        return self._replay is not None

    def __call__(self, tokens: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        batch = (tokens, target, mask)
        self._calls += 1
        if self._calls <= WARMUP_STEPS and tokens.is_cuda:
            return aside(lambda: self.step(*batch))
        if self._calls <= WARMUP_STEPS or self.reason is not None:
            return self.step(*batch)
        if self._replay is None:
            try:
                self._capture(batch)
            except Exception as error:
                self.reason = f"no CUDA graph, {type(error).__name__}: {str(error).partition(chr(10))[0]}"
                return self.step(*batch)
        assert self._replay is not None
        for held, given in zip(self._inputs, batch, strict=True):
            if held is not None and given is not None:
                held.copy_(given)
        self._replay()
        return self._losses

    def _capture(self, batch: tuple[Tensor, Tensor, Tensor | None]) -> None:
        self._inputs = [None if tensor is None else tensor.clone() for tensor in batch]
        self._replay, self._losses = self.recorder(lambda: self.step(*self._inputs))  # type: ignore[arg-type]
