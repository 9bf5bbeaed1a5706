"""What `harness.page_command` needs of this study."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record import Record

from . import summary
from .page import write_page
from .places import places_of, rankings_of
from .study import PLANS

__all__ = ["PLANS", "sentences", "write_page"]


def sentences(records: Sequence[Record]) -> list[str]:
    """The answer of the first screen."""
    places = places_of(records, [])
    return summary.sentences_of(places, rankings_of(places))
