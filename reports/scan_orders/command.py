"""What `harness.page_command` needs of this study."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record import Record

from .page import write_page
from .results import results_of
from .study import PLANS
from .summary import judge, sentences_of

__all__ = ["PLANS", "sentences", "write_page"]


def sentences(records: Sequence[Record]) -> list[str]:
    """The answer of the first screen, for the setting with most runs."""
    return sentences_of(judge(results_of(records, [])[0]))
