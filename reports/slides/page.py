"""The page: accuracy under every order with both spreads, the declared comparison, times and memory, how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cells import short
from harness.record import Record
from harness.summary import Row, rows_of

from ..outcomes import outcome_lines
from ..words import counted
from .accuracy import accuracy, control, draw_accuracy, in_short, primary
from .cost import READING, cost, draw_cost, latest_session, reading
from .difficulty import difficulty
from .study import ARCHITECTURES, BAGS_TASK, ORDERS, SLIDES_TASK

HOW_TO = """```
python -m harness slides check FEATURES            # CLAM's folder with h5_files, or TRIDENT's; a line for each bad bag
python -m harness run --task wsi:root=FEATURES,labels=labels.csv --scan horizontal snake hilbert random --seeds 10 \\
    --arch mamba gated-ssm local-attention identity --protocol standard:readout=attention,batch_size=8,steps=2000
python -m harness report results.sqlite -o slides.md
```"""


def write_page(records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str) -> list[Path]:
    """Write the page and its PNGs beside it (`<page>-accuracy.png`, `<page>-cost.png`); returns the pictures."""
    trained = [record for record in records if record["task"].startswith(f"{BAGS_TASK}:")]
    tried = [record for record in records if record["task"].startswith(f"{SLIDES_TASK}:")]
    rows = sorted(rows_of(trained, []), key=_place)
    timed = latest_session(timings)
    pictures: list[Path] = []
    lines = ["# Scan orders on whole slides", "", *_caption(rows), "", *in_short(rows), *accuracy(rows)]
    if any(row.done for row in rows):
        pictures.append(draw_accuracy(rows, path.with_name(f"{path.stem}-accuracy.png")))
        lines += [f"![Test accuracy by mixer and order]({pictures[-1].name})", ""]
    lines += [*primary(rows), *control(rows), *difficulty(tried), *cost(timed)]
    if timed:
        pictures.append(draw_cost(timed, path.with_name(f"{path.stem}-cost.png")))
        lines += [f"![Time and memory a slide against tiles]({pictures[-1].name})", ""]
    lines += reading([row for row in timings if row["cell"] == READING])
    lines += [
        "## Slides of your own",
        "",
        "Features of CAMELYON16 or TCGA as CLAM or TRIDENT extract them, with a labels.csv of slide_id, patient_id and"
        " label:",
        "",
        HOW_TO,
        "",
        "Bags that cannot be used are named and stop the run; `--skip-bad` records them and goes on.",
        "",
        "## Where the numbers come from",
        "",
        "```",
        f"python -m harness slides run --store {store}",
        f"python -m harness slides report --store {store} -o {path.name}",
        "```",
        "",
        *outcome_lines([*trained, *tried]),
    ]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return pictures


def _place(row: Row) -> tuple[int, int]:
    known = [*ARCHITECTURES], [*ORDERS]
    names = row.architecture.partition(":")[0], row.scan.partition(":")[0]
    return tuple(axis.index(name) if name in axis else len(axis) for axis, name in zip(known, names, strict=True))  # type: ignore[return-value]


def _caption(rows: Sequence[Row]) -> list[str]:
    data = next((record["data"] for row in rows for record in row.records if record.get("data")), None)
    first = rows[0]
    text = f"Protocol {short('protocol', first.protocol)}; {first.device}, {first.dtype}; one learning rate for all,"
    text += " untuned."
    if data is None:
        return [text]
    left_out = f" {counted(len(data['left_out']), 'bad bag')} left out." if data["left_out"] else ""
    sizes = {split: len(names) for split, names in data["split"].items()}
    return [
        f"{data['slides']:,} synthetic slides with {data['tiles']:,} tiles, written to disk in CLAM's format and read"
        f" from there: tissue with holes, lesions in clusters among as many look-alikes that are dispersed."
        " Attention is that within a window of steps along the order: over a whole slide, without positions, it is as"
        " order-blind as the control, and its cost grows with the square of the tiles."
        f" Cross-validated by patient: a seed is a fold ({sizes['train']} slides train, {sizes['validation']} validate,"
        f" {sizes['test']} test in the first); the store keeps every split.{left_out} {text}",
    ]
