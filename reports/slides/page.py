"""The page: accuracy under every order with both spreads, the declared comparison, times and memory, how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.summary import Row, rows_of
from harness.registry.cells import display_spec
from harness.registry.study import READING
from harness.store.record import Record

from ..page import Page
from ..places import position
from ..text import bullets, counted
from .accuracy import accuracy, control, draw, finding_of, in_short, primary
from .cost import cost, latest_session, reading
from .difficulty import difficulty
from .study import ARCHITECTURES, BAGS_TASK, ORDERS, QUESTIONS, SLIDES_TASK

HOW_TO = """```
python -m harness slides check FEATURES            # CLAM's folder with h5_files, or TRIDENT's; a line for each bad bag
python -m harness run --task wsi:root=FEATURES,labels=labels.csv --scan horizontal snake hilbert random --seeds 10 \\
    --arch mamba gated-ssm local-attention identity --protocol standard:readout=attention,batch_size=8,steps=2000
python -m harness report results.sqlite -o slides.md
```"""


def sentences(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The answer in short."""
    return in_short(_rows(records))


def write_page(
    records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str, command: str
) -> list[Path]:
    """Write the page and its PNGs beside it (`<page>-accuracy.png`, `<page>-cost.png`); returns the pictures."""
    tried = [record for record in records if record["task"].startswith(f"{SLIDES_TASK}:")]
    rows, data = _rows(records), _data(records)
    page = Page(
        path=path,
        title="Scan orders on whole slides",
        store=store,
        records=[*(record for row in rows for record in row.records), *tried],
        commands=[f"python -m harness slides run --store {store}", command],
        finding=finding_of(rows),
        limits=[
            f"Protocol {display_spec('protocol', rows[0].protocol)}; {rows[0].device}, {rows[0].dtype}; one learning"
            " rate for all, untuned.",
            "The slides are synthetic; folds share training slides, for which intervals and tests are corrected.",
            "Attention is that within a window of steps along the order: over a whole slide, without positions, it is"
            " as order-blind as the control, and its cost grows with the square of the tiles.",
        ],
        questions=QUESTIONS,
    )
    page.picture = page.draw("accuracy", "Test accuracy by mixer and order", draw(rows))
    page.sections = [
        "## In short",
        "Mean test accuracy:",
        bullets(in_short(rows)),
        *accuracy(rows, data),
        *primary(rows),
        *control(rows),
        *difficulty(tried),
        *cost(page, latest_session(timings)),
        *reading([row for row in timings if row["cell"] == READING]),
        "## Slides of your own",
        "Features of CAMELYON16 or TCGA as CLAM or TRIDENT extract them, with a labels.csv of slide_id, patient_id and"
        " label:",
        HOW_TO,
        "Bags that cannot be used are named and stop the run; `--skip-bad` records them and goes on.",
    ]
    return page.write()


def _rows(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of the runs on slides from disk, mixer by mixer."""
    trained = [dict(record) for record in records if record["task"].startswith(f"{BAGS_TASK}:")]
    return sorted(
        rows_of(trained, []),
        key=lambda row: (position(row.architecture, ARCHITECTURES), position(row.scan, ORDERS)),
    )


def _data(records: Sequence[Record]) -> list[str]:
    """What the slides are."""
    data = next((record["data"] for record in records if record.get("data")), None)
    if data is None:
        return []
    left_out = f" {counted(len(data['left_out']), 'bad bag')} left out." if data["left_out"] else ""
    sizes = {split: len(names) for split, names in data["split"].items()}
    return [
        f"{data['slides']:,} synthetic slides with {data['tiles']:,} tiles, written to disk in CLAM's format and read"
        " from there: tissue with holes, lesions in clusters among as many look-alikes that are dispersed."
        f" Cross-validated by patient: a seed is a fold ({sizes['train']} slides train, {sizes['validation']} validate,"
        f" {sizes['test']} test in the first); the store keeps every split.{left_out}",
    ]
