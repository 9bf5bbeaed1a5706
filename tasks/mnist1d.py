"""MNIST-1D: ten classes of one-dimensional signals, in their published draw."""

from __future__ import annotations

import functools
import random

import numpy as np

from harness.contracts.errors import Unsupported
from harness.registry import tasks

from ._finite import FiniteTask, published_task
from ._image_sets import ArrayImages

TESTED = 1000


@tasks.register("mnist1d", version=1)
def mnist1d() -> FiniteTask:
    """MNIST-1D: tell the digit whose outline a noisy signal of 40 values follows.

    Ten templates of 12 values are padded, stretched, sheared, moved and made noisy; 4,000 signals train, of which a
    tenth, always the same, validates, and 1,000 test. It is the draw that the authors froze (seed 42), made by their
    package without the network. Values are standardized with mean and standard deviation of training signals, from
    which the published values, standardized over all, hardly differ.

    Tokens are float32 [batch, 40, 1] on a 1 x 40 grid, targets [batch].

    Raises:
        Unsupported: the package mnist1d is not installed.

    Source: Greydanus and Kobak, "Scaling down deep learning with MNIST-1D", arXiv 2011.14439; the package mnist1d,
    `make_dataset` at its default arguments.
    """
    signals = ArrayImages(*_signals())
    return published_task(signals, tested=TESTED, classes=10, patch=1, subject="task mnist1d")


@functools.cache
def _signals() -> tuple[np.ndarray, np.ndarray]:
    """float32 [5000, 1, 1, 40] and labels [5000], the test signals last."""
    try:
        from mnist1d.data import make_dataset
    except ImportError as error:
        raise Unsupported(
            "task mnist1d needs the package mnist1d, which is not installed", "pip install mnist1d"
        ) from (error)
    states = random.getstate(), np.random.get_state()  # the package draws from the global generators
    try:
        found = make_dataset()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
    values = np.concatenate([found["x"], found["x_test"]]).astype(np.float32)
    return values[:, None, None, :], np.concatenate([found["y"], found["y_test"]])
