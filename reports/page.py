"""A page: finding, picture, known answers, limits, command and records on one screen; then sections; then an appendix.

Every study's page is one of these. It is made from records alone, so the same records give the same page on any day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store.record import Record

from .outcomes import days_text, outcome_texts
from .text import bullets, counted, markdown, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Question:
    """What a study asks.

    family: tests that are corrected together. declared: before the runs; else exploratory. smallest_effect: the least
    difference that would matter, where one was named.
    """

    id: str
    statement: str
    family: str
    declared: bool
    smallest_effect: float | None = None


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """Something published that these cells should show. reproduced: None where it was not run."""

    statement: str
    source: str
    reproduced: bool | None


@dataclass(kw_only=True)
class Page:
    """The parts of a page, in the order in which they are written, and the pictures drawn so far.

    path: of the Markdown file; pictures stand beside it as `<page>-<what>.png`. finding: one sentence with effect and
    interval. picture, sections, appendix: blocks of Markdown, which blank lines part. limits: three lines. commands:
    what makes the runs and the page. store: name of the file. records: the final runs it rests on. superseded: as for
    `outcome_texts`.
    """

    path: Path
    title: str
    store: str
    records: Sequence[Record]
    commands: Sequence[str]
    finding: str = ""
    picture: Sequence[str] = ()
    known_answers: Sequence[KnownAnswer] = ()
    limits: Sequence[str] = ()
    questions: Sequence[Question] = ()
    sections: Sequence[str] = ()
    appendix: Sequence[str] = ()
    superseded: int = 0
    pictures: list[Path] = field(default_factory=list)

    def draw(self, what: str, text: str, figure: Figure | None) -> list[str]:
        """Write a figure; the block that shows it, none where there is no figure."""
        if figure is None:
            return []
        picture = self.place(what)
        figure.savefig(picture)
        return [f"![{text}]({picture.name})"]

    def place(self, what: str) -> Path:
        """Where a picture goes that something else writes; it counts as drawn."""
        self.pictures.append(self.path.with_name(f"{self.path.stem}-{what}.png"))
        return self.pictures[-1]

    def write(self) -> list[Path]:
        """Write the Markdown file; returns the pictures."""
        made = f"From {counted(len(self.records), 'run')} in `{self.store}`, made {days_text(self.records)}, by:"
        blocks = [f"# {self.title}", self.finding, *self.picture]
        blocks += ["Known answers:", _known(self.known_answers), "Limits:", bullets(self.limits)]
        blocks += [made, "\n".join(["```", *self.commands, "```"])]
        if self.questions:
            blocks += ["## What was asked?", table([_question(question) for question in self.questions])]
        # Blank lines let Markdown go on inside the element, and after it.
        outcomes = bullets(outcome_texts(self.records, superseded=self.superseded))
        appendix = ["<details>\n<summary>Appendix: outcomes and provenance</summary>", outcomes, *self.appendix]
        blocks += [*self.sections, *appendix, "</details>"]
        self.path.write_text(markdown(blocks), encoding="utf-8")
        return self.pictures


def _known(answers: Sequence[KnownAnswer]) -> str:
    marks = {True: "🟩", False: "🟥", None: "⬜"}
    found = [f"{marks[each.reproduced]} {each.statement} ({each.source})" for each in answers]
    return bullets(found or ["⬜ none run yet"])


def _question(question: Question) -> dict[str, str]:
    return {
        "id": question.id,
        "question": question.statement,
        "family": question.family,
        "kind": "declared before the runs" if question.declared else "exploratory",
        "smallest effect that matters": "" if question.smallest_effect is None else f"{question.smallest_effect:g}",
    }
