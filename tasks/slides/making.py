"""Synthetic slides written to disk: from there on they are slides like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contracts import Task
from harness.errors import UserError
from harness.seeds import generator, seed_of

from .writing import Format, Slide, write_labels, write_slide

SECOND_SLIDES = 4
"""Every so many slides of a class, one is of the patient before: patients and slides are not the same."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was written."""

    patients: int
    tiles: int
    bytes: int


def make_slides(folder: Path, task: Task, count: int, *, form: Format, seed: int) -> Made:
    """Write `count` slides of an irregular task and their labels.csv, one slide in memory at a time.

    Raises:
        UserError: a task whose samples are no sets of tiles.
    """
    if not task.irregular:
        raise UserError("make-slides: the task must draw slides, got one of grids; take synthetic-slides")
    samples = task.sample("train", count, seed_of(kind="slides on disk", seed=seed))
    draw = generator(seed_of(kind="slides on disk", part="origins", seed=seed))
    digits = len(str(count - 1))
    rows: list[tuple[str, str, str]] = []
    met = [0] * task.classes
    patients = tiles = size = 0
    owner = [""] * task.classes
    for index in range(count):
        batch = samples.batch(np.array([index]))
        assert batch.places is not None
        label = int(batch.target[0])
        if met[label] % SECOND_SLIDES != SECOND_SLIDES - 1:
            owner[label] = f"p{patients:0{digits}d}"
            patients += 1
        met[label] += 1
        slide = Slide(name=f"s{index:0{digits}d}", features=batch.tokens[0], cells=batch.places[0])
        size += write_slide(folder, slide, form, draw).stat().st_size
        tiles += len(slide.cells)
        rows.append((slide.name, owner[label], str(label)))
    write_labels(folder / "labels.csv", rows)
    return Made(patients=patients, tiles=tiles, bytes=size)
