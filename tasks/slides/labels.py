"""labels.csv: which slide is of which patient and class; patients, never slides, are dealt into folds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contracts import Split
from harness.contracts.errors import UserError

from .._finite import fold

PATIENT_COLUMNS = ("patient_id", "case_id")
SCANS = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".h5")
"""Endings that lists of slides leave on the names, and bags do not have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """A line a slide. slides: names. patients: whole numbers [slides]. labels: int64 [slides]. classes: their names."""

    slides: tuple[str, ...]
    patients: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def only(self, kept: np.ndarray) -> Labels:
        """These slides alone."""
        slides = tuple(self.slides[index] for index in kept)
        return Labels(slides=slides, patients=self.patients[kept], labels=self.labels[kept], classes=self.classes)


def read_labels(path: Path, *, subject: str) -> Labels:
    """Read a table with columns slide_id, patient_id (or case_id) and label; classes in the order of their names.

    Raises:
        UserError: no such file or column, an empty field, a slide twice, fewer than two classes.
    """
    if not path.is_file():
        raise UserError(
            f"{subject}: labels must be a CSV file with columns slide_id, patient_id, label, got no file {str(path)!r}"
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        columns = tuple(table.fieldnames or ())
        patient = next((name for name in PATIENT_COLUMNS if name in columns), PATIENT_COLUMNS[0])
        wanted = ("slide_id", patient, "label")
        if missing := [name for name in wanted if name not in columns]:
            raise UserError(
                f"{subject}: {path} must have the columns slide_id, patient_id, label; {missing[0]} is missing, got"
                f" {', '.join(columns) or 'nothing'}"
            )
        rows: dict[str, tuple[str, str]] = {}
        for row in table:
            slide, owner, label = ((row[name] or "").strip() for name in wanted)
            if not (slide and owner and label):
                raise UserError(f"{subject}: {path} line {table.line_num}: {', '.join(wanted)} must not be empty")
            slide = slide[: -len(Path(slide).suffix)] if Path(slide).suffix.lower() in SCANS else slide
            if slide in rows:
                raise UserError(f"{subject}: {path} line {table.line_num}: every slide once, got {slide!r} again")
            rows[slide] = owner, label
    owners, names = ([values[column] for values in rows.values()] for column in (0, 1))
    classes = sorted(set(names), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    if len(classes) < 2:
        raise UserError(f"{subject}: {path} must hold two classes or more, got {', '.join(classes) or 'no slide'}")
    return Labels(
        slides=tuple(rows),
        patients=np.unique(owners, return_inverse=True)[1],
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        classes=tuple(classes),
    )


def patient_folds(labels: Labels, seed: int, folds: int, *, subject: str) -> dict[Split, np.ndarray]:
    """The slides of each split: all slides of a patient are in one, and seed s tests on fold s % folds.

    Patients are stratified by the class of most of their slides; see `fold` for how seeds make partitions.

    Raises:
        UserError: a class with fewer patients than there are folds.
    """
    patients, index = np.unique(labels.patients, return_inverse=True)
    votes = np.zeros((len(patients), len(labels.classes)), dtype=np.int64)
    np.add.at(votes, (index, labels.labels), 1)
    of_patient = votes.argmax(axis=1)
    for name, count in zip(labels.classes, np.bincount(of_patient, minlength=len(labels.classes)), strict=True):
        if count < folds:
            raise UserError(
                f"{subject}: each class must have a patient for each of {folds} folds, got {count} of class {name!r};"
                " take fewer folds or more patients"
            )
    parts = fold(of_patient, seed, folds)
    return {split: np.flatnonzero(np.isin(index, members)) for split, members in parts.items()}
