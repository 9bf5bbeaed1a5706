"""Slides of unequal length as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.contracts import Batch


def padded_batch(slides: Sequence[tuple[np.ndarray, np.ndarray]], target: np.ndarray) -> Batch:
    """A batch of (features [tiles, width], cells [tiles, 2]), zeros behind the shorter ones."""
    lengths = np.array([len(features) for features, _ in slides])
    longest = int(lengths.max())
    if len(slides) == 1:  # no copy of what may be hundreds of megabytes
        features, cells = slides[0]
        return Batch(tokens=features[None], target=target, mask=np.ones((1, longest), bool), coords=cells[None])
    tokens = np.zeros((len(slides), longest, slides[0][0].shape[1]), dtype=np.float32)
    places = np.zeros((len(slides), longest, 2), dtype=np.int32)
    for row, (features, cells) in enumerate(slides):
        tokens[row, : len(features)] = features
        places[row, : len(cells)] = cells
    return Batch(tokens=tokens, target=target, mask=np.arange(longest) < lengths[:, None], coords=places)
