"""The errors of the harness: what the user got wrong, and what cannot run here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user asked for is wrong; the command line prints it as one line and exits with 2.

    A message names the subject, the rule, the value received, and what to do next.
    """


class Unsupported(Exception):
    """A cell that cannot run here: no such device, package missing, grid that a scan does not fit.

    It becomes a record with status "unsupported", and the study goes on.

    Args:
        reason: what is missing or does not fit, with the value found.
        cure: what the user can do about it.
    """

    def __init__(self, reason: str, cure: str):
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


class Diverged(Exception):
    """Training left the numbers: a loss that is not finite, or has exploded.

    Args:
        step: the optimizer step (from 1) at which it was seen.
        loss: the loss there.
    """

    def __init__(self, step: int, loss: float):
        super().__init__(f"loss {loss:g} at step {step}")
        self.step = step
        self.loss = loss


DIVERGENCE_LOSS = 1e4
"""A training loss beyond this has left the numbers, finite or not."""


def divergence(step: int, loss: float, limit: float = DIVERGENCE_LOSS) -> Diverged | None:
    """The error to be raised at a step where the loss is not finite or beyond the limit; None where it is neither."""
    return Diverged(step, loss) if not math.isfinite(loss) or loss > limit else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, in any of the ways torch, C++ and Python say so."""
    text = str(error)
    said = "can't allocate memory" in text or "bad_alloc" in text or "not enough memory" in text
    # torch's own error by its name: torch is not imported for it.
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return said or named or isinstance(error, MemoryError)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known names are close to `word`, or list them all where none is.

    >>> nearest("hilbrt", ["hilbert", "horizontal"])
    'did you mean hilbert?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "none is known"
