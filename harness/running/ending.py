"""How a command that ran cells ends: what it says of stale and failed runs, and its exit code."""

from __future__ import annotations

import sys

from .runner import Outcome

SHOWN = 20
"""Failed runs that are told one by one."""


def report_failures(outcome: Outcome, store: str) -> int:
    """Say on standard error which runs are stale and which failed; returns the exit code, 1 if any failed."""
    if outcome.stale:
        print(
            f"warning: {len(set(outcome.stale))} runs in {store} (tuning runs included) were made by other source code"
            " and are marked stale; --overwrite runs them again",
            file=sys.stderr,
        )
    failed = outcome.failed
    for record in failed[:SHOWN]:
        place = f"{record['task']} {record['architecture']} {record['scan']} seed {record['seed']}"
        see = f"run {record['key']}; see: python -m harness rerun {record['key']} --store {store}"
        print(f"{record['status']}: {place}: {record['reason']} ({see})", file=sys.stderr)
    if len(failed) > SHOWN:
        more = len(failed) - SHOWN
        print(f"and {more} more failed runs: python -m harness export {store} -o runs.csv", file=sys.stderr)
    return 1 if failed else 0
