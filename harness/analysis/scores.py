"""What a run scores: the one rule of every table, test, figure and page.

- A run that is done has the scores of its record.
- A run that diverged counts as chance, the accuracy of the best constant guess, in test accuracy and in mean
  validation accuracy (AULC) alike, and as one that never reached a threshold. How many diverged is shown.
- A run that failed, ran out of memory or cannot run here has no score and takes no part. How many is shown as well.

(A trial that diverged while a learning rate is chosen is no score: `best_rate` never takes such a rate if it can.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.contracts.errors import Unsupported, UserError
from harness.contracts.outcome import FINISHED, Status
from harness.registry.cells import parse_task
from harness.store.record import Record


def chance_of(records: Sequence[Record]) -> float:
    """The chance of the records' task, also where no run came far enough to note it.

    NaN where the task is not to be had here; a diverged run then has no score.
    """
    noted = next((r["chance_accuracy"] for r in records if r.get("chance_accuracy") is not None), None)
    if noted is not None:
        return float(noted)
    try:
        return parse_task(records[0]["task"]).chance
    except (UserError, Unsupported):
        return math.nan


def scores_of(records: Sequence[Record], name: str = "test_accuracy") -> dict[int, float]:
    """Score by seed, of the runs that have one.

    Args:
        records: of one cell. name: an accuracy that records hold.
    """
    finished = [record for record in records if record["status"] in FINISHED]
    chance = chance_of(records) if any(record["status"] == Status.DIVERGED for record in finished) else math.nan
    scores = {r["seed"]: r.get(name) if r["status"] == Status.DONE else chance for r in finished}
    return {seed: score for seed, score in scores.items() if score is not None and not math.isnan(score)}


def steps_of(records: Sequence[Record], name: str = "steps_to_threshold") -> list[float | None]:
    """Steps to an end point of the runs that have a score, None where one never got there."""
    return [r.get(name) if r["status"] == Status.DONE else None for r in records if r["status"] in FINISHED]
