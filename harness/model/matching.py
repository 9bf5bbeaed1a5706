"""Equal width, equal parameters or equal state: the width at which an architecture is compared with the others."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.contracts.errors import Unsupported, UserError

from .backbone import StandardModel
from .cost import state_size

REFERENCE = "mamba"
"""Its parameters, or its state, at the protocol's width and along one route are what the others are brought to."""

COARSE, FINE = 16, 4
"""Steps of width; what heads do not divide is passed over."""

WIDEST = 4096

SIZES: dict[str, Callable[[StandardModel], int | None]] = {
    "parameters": lambda model: sum(p.numel() for p in model.parameters() if p.requires_grad),
    "state": state_size,
}
"""What is made equal, by the value of the protocol's `match`."""


def nearest_width(size: Callable[[int], int], wanted: int) -> int:
    """The multiple of 4 at which a size that grows with the width comes nearest to `wanted`, as a ratio.

    Args:
        size: of a width; it may raise UserError at widths that are no multiples of 16.

    Raises:
        UserError: the widest model stays below half of what is wanted.

    >>> nearest_width(lambda width: width * width, 1000)
    32
    """
    low, high = 0, COARSE
    while size(high) < wanted and high < WIDEST:
        low, high = high, 2 * high
    if 2 * size(high) < wanted:
        raise UserError(f"match: at width {high} there are {size(high):,} of {wanted:,} numbers, and no wider is tried")
    while high - low > COARSE:
        middle = (low + high) // 2 // COARSE * COARSE
        low, high = (middle, high) if size(middle) < wanted else (low, middle)
    found: dict[int, float] = {}
    for width in range(max(FINE, low), high + 1, FINE):
        try:
            found[width] = abs(math.log(size(width) / wanted))
        except UserError:
            continue
    return min(found, key=found.__getitem__)


def matched_width(
    match: str, build: Callable[[int], StandardModel], reference: Callable[[], StandardModel], *, name: str
) -> int:
    """The width at which what `build` gives has the size of `reference`'s model.

    Args:
        match: a name in SIZES. build: the model at a width. name: of the architecture, for the error.

    Raises:
        Unsupported: no state of a fixed size. UserError: nothing comes near.
    """
    size_of = SIZES[match]
    wanted = size_of(reference())
    assert wanted is not None

    def size(width: int) -> int:
        found = size_of(build(width))
        if found is None:
            raise Unsupported(
                f"{name} carries no state of a fixed size", "compare it under match=width or match=parameters"
            )
        return found

    return nearest_width(size, wanted)
