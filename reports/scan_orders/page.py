"""The page: one question a section, the answer on the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cells import UNTUNED
from harness.record import Record
from harness.tables import TUNED_CAPTION, UNTUNED_CAPTION

from ..words import counted, joined
from . import learning, outcomes, primary, published, ranks, speed, summary, theory, transfer
from .drawing import draw_gallery, draw_overview, save
from .results import Results, name_of, results_of
from .summary import Judged, judge


def write_page(records: Sequence[Record], timings: Sequence[dict[str, Any]], path: Path, *, store: str) -> list[Path]:
    """Write the page and its PNGs beside it (`<page>-<what>.png`); returns the pictures.

    Args:
        records: final and tuning runs of a store, under the standard protocol.
        timings: its timing rows.
    """
    settings = results_of(records, timings)
    results, judged = settings[0], judge(settings[0])
    pictures: list[Path] = []

    def picture(what: str, draw) -> str:
        pictures.append(save(draw, path.with_name(f"{path.stem}-{what}.png")))
        return pictures[-1].name

    lines = ["# Which scan order?", "", *_caption(results), "", *summary.section(judged)]
    lines += _pictures(judged, path, picture, pictures)
    lines += primary.section(results, judged.effects)
    diagrams = picture("ranks", lambda figure: ranks.draw(results, judged.rankings, figure))
    lines += ranks.section(results, judged.rankings, diagrams)
    rates = [picture("rates", lambda figure: learning.draw_rates(results, figure))] if results.tuning else []
    lines += learning.section(results, rates)
    scatter = ""
    if judged.predictions:
        scatter = picture("theory", lambda figure: theory.draw(results, judged.predictions, figure))
    lines += theory.section(results, judged.predictions, scatter)
    read = picture("transfer", lambda figure: transfer.draw(results, figure)) if transfer.known(results) else None
    lines += transfer.section(results, read)
    lines += speed.section(results)
    lines += _other_settings(settings[1:])
    lines += published.section()
    final = [record for record in records if record["purpose"] == "final"]
    lines += outcomes.section(settings, final, store=store, page=path.name)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return pictures


def _caption(results: Results) -> list[str]:
    """What was compared, under which protocol, and whether rates were tuned."""
    axes = (("task", results.tasks), ("architecture", results.architectures), ("scan", results.orders))
    names = [joined([name_of(axis, text) for text in texts]) for axis, texts in axes]
    setting = results.setting
    tuned = setting.selection != UNTUNED
    return [
        f"{counted(len(results.orders), 'order')} ({names[2]}), {counted(len(results.architectures), 'architecture')}"
        f" ({names[1]}), {counted(len(results.tasks), 'task')} ({names[0]}); protocol"
        f" {name_of('protocol', setting.protocol)}, {setting.device}, {setting.dtype};"
        f" {TUNED_CAPTION.format(setting.selection) if tuned else UNTUNED_CAPTION}.",
    ]


def _pictures(judged: Judged, path: Path, picture, pictures: list[Path]) -> list[str]:
    results, lines = judged.results, ["## What do the orders look like, and what came out?", ""]
    grid = next((tuple(row.get("grid")) for row in results.rows if row.get("grid")), None)
    gallery = path.with_name(f"{path.stem}-orders.png")
    if grid is not None and draw_gallery(results, (grid[0], grid[1]), gallery):
        pictures.append(gallery)
        lines += [f"![The orders on {grid[0]} x {grid[1]} cells]({gallery.name})", ""]
        lines += ["From the circle to the square, coloured by step; thin lines are jumps.", ""]
    best = {place: ranking.best for place, ranking in judged.rankings.items() if ranking.tells}
    overview = picture("accuracy", lambda figure: draw_overview(results, best, figure))
    return [
        *lines,
        f"![Test accuracy by task, architecture and order]({overview})",
        "",
        "Mean test accuracy with a 95% t interval, a dot a seed; dotted: chance. Full marks: the best set, where orders"
        " are told apart.",
        "",
    ]


def _other_settings(settings: Sequence[Results]) -> list[str]:
    """Runs under another readout, budget, number format or device: the summary's table and the main sentences."""
    lines: list[str] = []
    for results in settings:
        judged = judge(results)
        lines += [f"## Under another setting: {results.setting.text}", "", *_caption(results), ""]
        lines += [summary.summary_table(judged), ""]
        lines += [f"- {sentence}" for sentence in summary.sentences_of(judged)]
        lines += ["", *primary.section(results, judged.effects)[2:]]
    return lines
