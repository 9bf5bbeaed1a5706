"""How a command that ran cells ends: what it says of stale and failed runs, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .study import Outcome

SHOWN = 20
"""Failed runs that are told one by one."""


def tell_ending(outcomes: Sequence[Outcome], store: str) -> int:
    """Say on standard error which runs are stale and which failed; returns the exit code, 1 if any failed."""
    stale = {key for outcome in outcomes for key in outcome.stale}
    if stale:
        print(
            f"warning: {len(stale)} runs in {store} (tuning runs included) were made by other source code and are"
            " marked stale; --fresh runs them again",
            file=sys.stderr,
        )
    failed = [record for outcome in outcomes for record in outcome.failed]
    for record in failed[:SHOWN]:
        place = f"{record['task']} {record['architecture']} {record['scan']} seed {record['seed']}"
        print(
            f"{record['status']}: {place}: {record['reason']} (run {record['key']}; see: python -m harness rerun"
            f" {record['key']} --store {store})",
            file=sys.stderr,
        )
    if len(failed) > SHOWN:
        more = len(failed) - SHOWN
        print(f"and {more} more failed runs: python -m harness export {store} -o runs.csv", file=sys.stderr)
    return 1 if failed else 0
